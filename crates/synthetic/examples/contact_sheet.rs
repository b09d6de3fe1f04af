//! A contact sheet of synthetic butterflies: one row a species, one column an instance.
//!
//! ```text
//! cargo run --release -p kinsight-data --example contact_sheet -- SHEET.png [SPECIES [ROWS [COLUMNS [SIZE_PX [STEP [SEED]]]]]]
//! ```
//!
//! Rows show ROWS species (12) from SPECIES (0), every STEP-th (1; 6 shows one of each genus), in COLUMNS pictures (8)
//! of SIZE_PX pixels (128). The names of the rows and the time of one picture are printed.
#![expect(clippy::print_stdout, reason = "an example prints what it did")]

use std::error::Error;
use std::time::Instant;

use kinsight_synthetic::{render, species_name};

/// White space between pictures, pixels.
const GAP_PX: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path =
        arguments.next().ok_or("usage: contact_sheet SHEET.png [SPECIES [ROWS [COLUMNS [SIZE_PX [STEP [SEED]]]]]]")?;
    let mut number = |default: u32| arguments.next().map_or(Ok(default), |text| text.parse::<u32>());
    let (first, rows, columns, size_px, step, seed) =
        (number(0)?, number(12)?, number(8)?, number(128)?, number(1)?, number(1)?);

    let place = |index: u32| index * (size_px + GAP_PX);
    let mut sheet = image::RgbImage::from_pixel(place(columns), place(rows), image::Rgb([255; 3]));
    let start = Instant::now();
    for row in 0..rows {
        let species = first + row * step;
        println!("{species:6}  {}", species_name(species));
        for column in 0..columns {
            let picture = render(species, column, u64::from(seed), size_px)?;
            let (width, height) = (picture.width(), picture.height());
            let picture = image::RgbImage::from_raw(width, height, picture.into_pixels()).ok_or("not a picture")?;
            image::imageops::replace(&mut sheet, &picture, place(column).into(), place(row).into());
        }
    }
    let milliseconds = start.elapsed().as_secs_f64() * 1e3 / f64::from((rows * columns).max(1));
    println!("{milliseconds:.2} ms a picture of {size_px} px on one core");
    sheet.save(&path)?;
    Ok(())
}
