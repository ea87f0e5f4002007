//! The memory that made columns are written to.
//!
//! A column that is to be kept is large, and the system gives memory page by page: for the main
//! job's five gigabytes that takes longer than making the rows does. So large columns are mapped
//! from the system by themselves, in huge pages where it has them. Small columns are computed with
//! and soon given back, so they come from the allocator, which has their memory at hand.

use datafusion::arrow::buffer::Buffer;
use memmap2::MmapMut;

/// The size of a huge page, and the least size of a column that gets some.
const HUGE_PAGE: usize = 2 << 20;

/// Eight bytes per row.
pub(super) fn words(rows: impl ExactSizeIterator<Item = u64>) -> Buffer {
    let Some(mut memory) = map(rows.len() * 8) else {
        return Buffer::from_vec(rows.collect());
    };
    let (places, _) = memory.as_chunks_mut::<8>();
    for (place, row) in places.iter_mut().zip(rows) {
        *place = row.to_ne_bytes();
    }
    freeze(memory)
}

/// One byte per row.
pub(super) fn bytes(rows: impl ExactSizeIterator<Item = u8>) -> Buffer {
    let Some(mut memory) = map(rows.len()) else {
        return Buffer::from_vec(rows.collect());
    };
    for (place, row) in memory.iter_mut().zip(rows) {
        *place = row;
    }
    freeze(memory)
}

/// At least so many bytes from the system; nothing if that is too little to be worth it, or if the
/// system gives none, so that the allocator decides.
fn map(length: usize) -> Option<MmapMut> {
    if length < HUGE_PAGE {
        return None;
    }
    // Only whole huge pages are laid out as such.
    let memory = MmapMut::map_anon(length.next_multiple_of(HUGE_PAGE)).ok()?;
    // Without huge pages it is slower and nothing else.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    Some(memory)
}

fn freeze(memory: MmapMut) -> Buffer {
    Buffer::from(bytes::Bytes::from_owner(memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_all_sizes_hold_their_rows() {
        for rows in [
            0,
            1,
            1000,
            HUGE_PAGE / 8,
            HUGE_PAGE / 8 + 1,
            HUGE_PAGE,
            HUGE_PAGE + 3,
        ] {
            let words = words((0..rows).map(|row| row as u64 * 3));
            assert!(
                words.typed_data::<u64>()[..rows]
                    .iter()
                    .enumerate()
                    .all(|(row, value)| *value == row as u64 * 3)
            );
            let bytes = bytes((0..rows).map(|row| (row % 251) as u8));
            assert!(
                bytes[..rows]
                    .iter()
                    .enumerate()
                    .all(|(row, value)| *value == (row % 251) as u8)
            );
        }
    }
}
