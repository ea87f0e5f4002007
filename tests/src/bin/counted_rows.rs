//! The child of the tests that count: a map with many rows, of which every
//! thousandth fails, in a process of its own.
//!
//!     counted_rows ROWS ROWS_OF_A_MAP
//!
//! Prints the most memory that was resident, in bytes.

use flowcore::prelude::*;

#[task]
fn row(number: u32) -> Result<u32> {
    if number % 1000 == 7 {
        return Err(Error::msg(format!("row {number} is bad")));
    }
    Ok(number)
}

#[flow]
async fn counted_rows(rows: u32, rows_of_a_map: u32) {
    let mut maps = Vec::new();
    for first in (0..rows).step_by(rows_of_a_map as usize) {
        let numbers: Vec<u32> = (first..rows.min(first + rows_of_a_map)).collect();
        maps.push(row.map(numbers));
    }
    for mapped in maps {
        mapped.wait(None).await;
    }
}

#[flowcore::main]
async fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let mut number = || Ok::<_, Error>(numbers.next().transpose()?.unwrap_or(1000));
    counted_rows(number()?, number()?).await?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = peak
        .and_then(|peak| peak.trim().strip_suffix("kB"))
        .ok_or_else(|| Error::msg("the system does not tell the peak of memory"))?
        .trim()
        .parse()?;
    println!("{}", kilobytes * 1024);
    Ok(())
}
