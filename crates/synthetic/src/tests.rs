//! Tests of whole pictures and sets; the parts are tested in their files.

use std::fs;
use std::path::Path;

use super::*;
use kinsight_data::{DecodeLimits, decode_file};

/// Mean absolute difference of two pictures of one size, in steps of 1/255.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let sum: u64 = a.pixels().iter().zip(b.pixels()).map(|(p, q)| u64::from(p.abs_diff(*q))).sum();
    sum as f64 / a.pixels().len() as f64
}

#[test]
fn a_picture_is_a_function_of_its_numbers() {
    let picture = render(17, 3, 5, 96).unwrap();
    assert_eq!(picture, render(17, 3, 5, 96).unwrap());
    for other in [render(18, 3, 5, 96), render(17, 4, 5, 96), render(17, 3, 6, 96)] {
        assert!(difference(&picture, &other.unwrap()) > 4.0);
    }
}

#[test]
fn any_size_can_be_drawn() {
    for size in (32..=512).step_by(37).chain([16, 33, 512]) {
        for species in [0, size * 7919, u32::MAX] {
            let picture = render(species, size, 1, size).unwrap();
            let (darkest, brightest) = (picture.pixels().iter().min().unwrap(), picture.pixels().iter().max().unwrap());
            assert!(brightest - darkest > 60, "species {species} at {size} px shows nothing");
        }
    }
    assert!(matches!(render(0, 0, 0, 15), Err(SyntheticError::Size { found: 15 })));
    assert!(matches!(render(0, 0, 0, u32::MAX), Err(SyntheticError::Size { .. })));
}

#[test]
fn sister_species_differ_visibly_under_the_same_circumstances() {
    for genus in (0..120).map(|i| i * 31) {
        let sisters = (0..SPECIES_PER_GENUS).map(|member| Species::of(genus * SPECIES_PER_GENUS + member));
        let shot = Shot { seed: 2, species: genus, instance: 0 };
        let pictures: Vec<RgbImage> = sisters.map(|species| photograph(&species, shot, Film::Positive, 64)).collect();
        for i in 0..pictures.len() {
            for j in 0..i {
                let apart = difference(&pictures[i], &pictures[j]);
                assert!(apart > 0.8, "species {i} and {j} of genus {genus} differ by {apart:.2}");
            }
        }
    }
}

/// Mean color of the middle of the picture as (r, g, b) shares, which exposure does not change.
fn middle_color(picture: &RgbImage) -> [f64; 3] {
    let size = picture.width();
    let mut sum = [0.0; 3];
    for y in size * 3 / 8..size * 5 / 8 {
        for x in size * 3 / 8..size * 5 / 8 {
            for (total, value) in sum.iter_mut().zip(picture.pixel(x, y).unwrap()) {
                *total += f64::from(value);
            }
        }
    }
    let total: f64 = sum.iter().sum();
    sum.map(|channel| channel / total)
}

#[test]
fn species_of_different_genera_differ_more_than_instances() {
    const INSTANCES: u32 = 12;
    let species: Vec<u32> = (0..24).map(|genus| genus * SPECIES_PER_GENUS).collect();
    let colors: Vec<Vec<[f64; 3]>> = species
        .iter()
        .map(|&id| (0..INSTANCES).map(|instance| middle_color(&render(id, instance, 9, 48).unwrap())).collect())
        .collect();
    let mean = |points: &[[f64; 3]]| -> [f64; 3] {
        std::array::from_fn(|c| points.iter().map(|p| p[c]).sum::<f64>() / points.len() as f64)
    };
    let square = |a: [f64; 3], b: [f64; 3]| -> f64 { a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum() };
    let means: Vec<[f64; 3]> = colors.iter().map(|points| mean(points)).collect();
    let center = mean(&means);
    let classes = means.len() as f64;
    let between = means.iter().map(|&m| square(m, center)).sum::<f64>() / (classes - 1.0);
    let within =
        colors.iter().zip(&means).flat_map(|(points, &m)| points.iter().map(move |&p| square(p, m))).sum::<f64>()
            / (classes * f64::from(INSTANCES - 1));
    // The variance of class means that chance alone gives is within / INSTANCES: a ratio of 1 here (the F statistic).
    let ratio = between * f64::from(INSTANCES) / within;
    assert!(ratio > 8.0, "F = {ratio:.1}");
}

fn spec() -> SyntheticSpec {
    SyntheticSpec { seed: 11, classes: 4..9, images_per_class: 3, size_px: 40, film: Film::Positive }
}

/// Every file of a set with its bytes, in order.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for class in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(&class).unwrap().map(|entry| entry.unwrap().path()) {
            files.push((file.strip_prefix(dir).unwrap().display().to_string(), fs::read(&file).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_set_is_the_same_for_any_number_of_threads() {
    let sets: Vec<Vec<(String, Vec<u8>)>> = [1, 4]
        .iter()
        .map(|&threads| {
            let dir = tempfile::tempdir().unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| write_folder(&spec(), dir.path(), |_| ())).unwrap();
            contents(dir.path())
        })
        .collect();
    assert_eq!(sets[0].len(), 15);
    assert_eq!(sets[0], sets[1]);
}

#[test]
fn an_interrupted_set_is_finished_and_a_finished_one_kept() {
    let dir = tempfile::tempdir().unwrap();
    let reports = std::sync::Mutex::new(Vec::new());
    let written = write_folder(&spec(), dir.path(), |progress| reports.lock().unwrap().push(progress.done)).unwrap();
    assert_eq!(written, Written { drawn: 15, kept: 0 });
    let mut reports = reports.into_inner().unwrap();
    reports.sort_unstable();
    assert_eq!(reports, (1..=15).collect::<Vec<u64>>());

    let before = contents(dir.path());
    fs::remove_file(dir.path().join(&before[4].0)).unwrap();
    fs::write(dir.path().join(&before[9].0), b"").unwrap();
    assert_eq!(write_folder(&spec(), dir.path(), |_| ()).unwrap(), Written { drawn: 2, kept: 13 });
    assert_eq!(contents(dir.path()), before);
    assert_eq!(write_folder(&spec(), dir.path(), |_| ()).unwrap(), Written { drawn: 0, kept: 15 });
}

#[test]
fn a_written_picture_decodes_to_what_was_drawn() {
    let dir = tempfile::tempdir().unwrap();
    write_folder(&spec(), dir.path(), |_| ()).unwrap();
    let path = dir.path().join(species_name(5)).join("0002.jpg");
    let decoded = decode_file(&path, DecodeLimits::default()).unwrap();
    assert!(difference(&decoded, &render(5, 2, 11, 40).unwrap()) < 6.0);
    let dataset = kinsight_data::Dataset::from_folder(dir.path()).unwrap();
    assert_eq!((dataset.items.len(), dataset.class_names.len()), (15, 5));
}

#[test]
fn other_folders_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "mine").unwrap();
    assert!(matches!(write_folder(&spec(), dir.path(), |_| ()), Err(SyntheticError::Foreign { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let dir = tempfile::tempdir().unwrap();
    write_folder(&spec(), dir.path(), |_| ()).unwrap();
    let before = contents(dir.path());
    let other = SyntheticSpec { size_px: 48, ..spec() };
    let error = write_folder(&other, dir.path(), |_| ()).unwrap_err();
    assert!(matches!(&error, SyntheticError::OtherSet { .. }) && error.hint().is_some(), "{error}");
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_set_that_cannot_be_drawn_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("set");
    for bad in [
        SyntheticSpec { classes: 3..3, ..spec() },
        SyntheticSpec { images_per_class: 0, ..spec() },
        SyntheticSpec { size_px: 8, ..spec() },
    ] {
        assert!(write_folder(&bad, &target, |_| ()).is_err());
        assert!(!target.exists());
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let error = write_folder(&spec(), &dir.path().join("file"), |_| ()).unwrap_err();
    assert!(matches!(error, SyntheticError::File(_)), "{error}");
}

#[test]
fn a_negative_is_the_complement_of_its_positive() {
    let shot = Shot { seed: 5, species: 17, instance: 3 };
    let [positive, negative] =
        [Film::Positive, Film::Negative].map(|film| photograph(&Species::of(17), shot, film, 48));
    assert!(positive.pixels().iter().zip(negative.pixels()).all(|(p, n)| *p == 255 - n));
}
