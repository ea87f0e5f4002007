//! The memory that made columns are written to.
//!
//! A column that is to be kept is large, and the system hands memory out page by page, at the first
//! touch of each: for the main job's five gigabytes that takes as long as making the rows. So large
//! columns are mapped from the system by themselves, and a piece of many pages is asked for at once,
//! just before it is written, while it is in the processor's cache. Huge pages would be fewer still,
//! but where memory is in pieces the system may take longer to find them than they save.
//!
//! Small columns are computed with and soon given back, so they come from the allocator, which has
//! their memory at hand.

use datafusion::arrow::buffer::Buffer;
use memmap2::MmapMut;

/// The least size of a column that is mapped by itself.
const LARGE: usize = 2 << 20;
/// How much is asked for at once: half of a small second-level cache.
const PIECE: usize = 128 << 10;

/// Eight bytes per row.
pub(super) fn words(rows: usize, at: impl Fn(usize) -> u64) -> Buffer {
    let Some(mut memory) = map(rows * 8) else {
        return Buffer::from_vec((0..rows).map(at).collect::<Vec<u64>>());
    };
    fill(&mut memory, |start, piece| {
        let (places, _) = piece.as_chunks_mut::<8>();
        for (row, place) in places.iter_mut().enumerate() {
            *place = at(start / 8 + row).to_ne_bytes();
        }
    });
    freeze(memory)
}

/// One byte per row.
pub(super) fn bytes(rows: usize, at: impl Fn(usize) -> u8) -> Buffer {
    let Some(mut memory) = map(rows) else {
        return Buffer::from_vec((0..rows).map(at).collect::<Vec<u8>>());
    };
    fill(&mut memory, |start, piece| {
        for (row, place) in piece.iter_mut().enumerate() {
            *place = at(start + row);
        }
    });
    freeze(memory)
}

/// So many bytes from the system; nothing if that is too little to be worth it, or if the system
/// gives none, so that the allocator decides.
fn map(length: usize) -> Option<MmapMut> {
    if length < LARGE {
        return None;
    }
    MmapMut::map_anon(length).ok()
}

/// Writes piece after piece; `write` is told where one starts.
fn fill(memory: &mut MmapMut, write: impl Fn(usize, &mut [u8])) {
    for start in (0..memory.len()).step_by(PIECE) {
        let end = memory.len().min(start + PIECE);
        // Where this is not known, the pages come one by one.
        #[cfg(target_os = "linux")]
        let _ = memory.advise_range(memmap2::Advice::PopulateWrite, start, end - start);
        write(start, &mut memory[start..end]);
    }
}

fn freeze(memory: MmapMut) -> Buffer {
    Buffer::from(bytes::Bytes::from_owner(memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_all_sizes_hold_their_rows() {
        for rows in [0, 1, 1000, LARGE / 8, LARGE / 8 + 1, LARGE, LARGE + 3] {
            let words = words(rows, |row| row as u64 * 3);
            assert!((0..rows).all(|row| words.typed_data::<u64>()[row] == row as u64 * 3));
            let bytes = bytes(rows, |row| (row % 251) as u8);
            assert!((0..rows).all(|row| bytes[row] == (row % 251) as u8));
        }
    }
}
