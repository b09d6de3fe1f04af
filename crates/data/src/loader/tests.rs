//! The loader's promises: order, determinism, the treatment of unreadable files, and a clean end.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::dataset::Item;

const SIDE: u32 = 12;

/// `per_class` different images in each of `classes` classes, of various sizes and formats.
fn images(classes: usize, per_class: usize) -> (TempDir, Arc<Dataset>) {
    let dir = tempfile::tempdir().unwrap();
    for class in 0..classes {
        fs::create_dir(dir.path().join(format!("class{class}"))).unwrap();
        for number in 0..per_class {
            let seed = (class * per_class + number) as u32;
            let size = (15 + seed % 7, 14 + seed % 5);
            let image = image::RgbImage::from_fn(size.0, size.1, |x, y| {
                image::Rgb([(seed * 37 + x * 9) as u8, (seed * 11 + y * 13) as u8, (x * y + seed) as u8])
            });
            let ending = if seed.is_multiple_of(3) { "jpg" } else { "png" };
            image.save(dir.path().join(format!("class{class}/{number}.{ending}"))).unwrap();
        }
    }
    let dataset = Arc::new(Dataset::from_folder(dir.path()).unwrap());
    (dir, dataset)
}

fn preprocess() -> Preprocess {
    Preprocess { input_size_px: SIDE, resize_size_px: 14, ..Preprocess::default() }
}

fn loader(dataset: &Arc<Dataset>, options: LoaderOptions) -> Loader {
    Loader::new(Arc::clone(dataset), preprocess(), options).unwrap()
}

fn all(loader: &Loader, plan: Plan) -> Vec<Batch> {
    loader.batches(plan).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Batches of four that visit every item twice in a scattered order.
fn scattered(len: usize, augment: Augment) -> Plan {
    let order: Vec<usize> = (0..2 * len).map(|i| i * 7 % len).collect();
    Plan::new(order.chunks(4).map(<[usize]>::to_vec), augment)
}

fn spoil(item: &Item) {
    fs::write(&item.path, b"not an image").unwrap();
}

const TRAIN: Augment = Augment::Train { seed: 5, epoch: 2 };

#[test]
fn batches_come_in_order_with_labels_and_shape() {
    let (_dir, dataset) = images(3, 3);
    let loader = loader(&dataset, LoaderOptions::eval());
    assert!(all(&loader, Plan::eval(0, 4)).is_empty());
    let batches = all(&loader, Plan::eval(9, 4));
    assert_eq!(batches.iter().map(Batch::len).collect::<Vec<_>>(), [4, 4, 1]);
    assert_eq!(batches.iter().flat_map(|b| b.indices.clone()).collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
    assert_eq!(batches.iter().flat_map(|b| b.labels.clone()).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    for (number, batch) in batches.iter().enumerate() {
        assert_eq!(batch.number, number);
        assert_eq!(batch.shape().iter().product::<usize>(), batch.images.len());
    }
}

#[test]
fn rows_are_what_the_transform_gives() {
    let (_dir, dataset) = images(1, 3);
    let batches = all(&loader(&dataset, LoaderOptions::eval()), Plan::eval(3, 3));
    let transform = EvalTransform::new(preprocess()).unwrap();
    let mut expected = vec![0.0; preprocess().output_len()];
    for (row, item) in batches[0].images.chunks_exact(expected.len()).zip(&dataset.items) {
        let image = crate::decode::decode_file(&item.path, DecodeLimits::default()).unwrap();
        transform.apply(&image, &mut crate::transform::Scratch::new(), &mut expected).unwrap();
        assert_eq!(row, expected);
    }
}

#[test]
fn the_number_of_workers_and_the_cache_change_nothing() {
    let (_dir, dataset) = images(3, 4);
    let run = |workers, prefetch_batches, cache_bytes, augment| {
        let options = LoaderOptions { workers, prefetch_batches, cache_bytes, ..LoaderOptions::train() };
        all(&loader(&dataset, options), scattered(12, augment))
    };
    for augment in [TRAIN, Augment::Eval] {
        let reference = run(1, 1, 0, augment);
        for (workers, prefetch, cache) in [(2, 1, 0), (5, 9, 0), (1, 3, 4000), (5, 1, u64::MAX), (40, 0, 900)] {
            assert_eq!(run(workers, prefetch, cache, augment), reference, "{workers} workers, cache of {cache} bytes");
        }
    }
}

#[test]
fn a_resumed_epoch_equals_the_unbroken_one() {
    let (_dir, dataset) = images(3, 4);
    let options = LoaderOptions { workers: 3, ..LoaderOptions::train() };
    let loader = loader(&dataset, options);
    let unbroken = all(&loader, scattered(12, TRAIN));
    for start in 0..=unbroken.len() + 1 {
        let resumed = all(&loader, scattered(12, TRAIN).starting_at(start));
        assert_eq!(resumed, unbroken[start.min(unbroken.len())..], "from batch {start}");
    }
}

#[test]
fn seed_epoch_and_place_all_change_the_crop() {
    let (_dir, dataset) = images(1, 2);
    let loader = loader(&dataset, LoaderOptions::train());
    let plan = |augment| Plan::new([vec![0, 0], vec![0, 0]], augment);
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for (seed, epoch) in [(1, 0), (2, 0), (1, 1)] {
        for batch in all(&loader, plan(Augment::Train { seed, epoch })) {
            seen.extend(batch.images.chunks_exact(preprocess().output_len()).map(<[f32]>::to_vec));
        }
    }
    for (i, row) in seen.iter().enumerate() {
        assert!(seen[..i].iter().all(|other| other != row), "row {i} repeats another");
    }
}

#[test]
fn training_replaces_an_unreadable_image_by_the_next_of_its_class() {
    let (_dir, dataset) = images(2, 4);
    // Items 2 and 3 of class 0 (items 0 to 3) are unreadable: item 2 is replaced by item 0, past item 3.
    spoil(&dataset.items[2]);
    fs::write(&dataset.items[3].path, b"").unwrap();
    let options = LoaderOptions { max_unreadable_fraction: 0.5, workers: 2, ..LoaderOptions::train() };
    let loader = loader(&dataset, options);
    let batches = all(&loader, Plan::new([vec![2, 5], vec![1, 3]], TRAIN));
    assert_eq!(batches[0].indices, [0, 5]);
    assert_eq!(batches[1].indices, [1, 0]);
    assert_eq!(batches[0].labels, [0, 1]);
    let report = loader.unreadable();
    let paths: Vec<&Path> = report.files.iter().map(|(path, _)| path.as_path()).collect();
    assert_eq!(paths, [&dataset.items[2].path, &dataset.items[3].path], "each once, in order");
    assert_eq!(report.files[0].1, "not an image of a known format");
    assert_eq!(report.files[1].1, "the file is empty (0 bytes)");
    // A second epoch reports nothing new.
    all(&loader, Plan::new([vec![2, 5], vec![1, 3]], TRAIN));
    assert_eq!(loader.unreadable(), report);
}

#[test]
fn evaluation_omits_the_row_of_an_unreadable_image() {
    let (_dir, dataset) = images(2, 3);
    spoil(&dataset.items[1]);
    let options = LoaderOptions { max_unreadable_fraction: 0.2, ..LoaderOptions::eval() };
    let whole = all(&loader(&dataset, options), Plan::eval(6, 4));
    assert_eq!(whole[0].indices, [0, 2, 3]);
    assert_eq!(whole[0].labels, [0, 0, 1]);
    assert_eq!(whole[0].images.len(), 3 * preprocess().output_len());
    let alone = all(&loader(&dataset, options), Plan::new([vec![1]], Augment::Eval));
    assert!(alone[0].is_empty() && alone[0].images.is_empty());
}

#[test]
fn too_many_unreadable_is_an_error_at_the_same_batch_for_any_number_of_workers() {
    let (_dir, dataset) = images(4, 30);
    spoil(&dataset.items[40]);
    let run = |workers| {
        let options = LoaderOptions { workers, ..LoaderOptions::eval() };
        loader(&dataset, options).batches(Plan::eval(120, 10)).unwrap().collect::<Vec<_>>()
    };
    assert!(run(2).iter().all(Result::is_ok), "1 of 120 is within 1 %");
    spoil(&dataset.items[77]);
    for workers in [1, 2, 5] {
        let results = run(workers);
        assert_eq!(results.len(), 8, "the iterator ends with the error");
        let error = results[7].as_ref().unwrap_err();
        let DataError::TooManyUnreadable { unreadable: 2, total: 120, allowed: 1, first, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(first, &dataset.items[40].path);
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_class_without_a_readable_image_is_an_error() {
    let (_dir, dataset) = images(2, 2);
    spoil(&dataset.items[2]);
    spoil(&dataset.items[3]);
    let options = LoaderOptions { max_unreadable_fraction: 1.0, ..LoaderOptions::train() };
    let mut batches = loader(&dataset, options).batches(Plan::new([vec![0, 2], vec![0]], TRAIN)).unwrap();
    let error = batches.next().unwrap().unwrap_err();
    assert!(matches!(&error, DataError::NoReadableImage { class } if class == "class1"), "{error}");
    assert!(batches.next().is_none());
}

#[test]
fn impossible_plans_and_options_are_refused() {
    let (_dir, dataset) = images(1, 2);
    let error = loader(&dataset, LoaderOptions::eval()).batches(Plan::new([vec![0], vec![2]], TRAIN)).unwrap_err();
    assert!(matches!(error, DataError::IndexOutOfRange { batch: 1, index: 2, len: 2 }));
    let options = LoaderOptions { max_unreadable_fraction: 1.5, ..LoaderOptions::eval() };
    assert!(Loader::new(dataset, preprocess(), options).is_err());
}

#[test]
fn dropping_the_iterator_early_stops_its_threads() {
    let (_dir, dataset) = images(2, 4);
    let loader = loader(&dataset, LoaderOptions { workers: 3, prefetch_batches: 1, ..LoaderOptions::train() });
    let plan = Plan::new((0..500).map(|i| vec![i % 8]), TRAIN);
    let mut batches = loader.batches(plan).unwrap();
    assert!(batches.next().unwrap().is_ok());
    // Joins the threads, which hold the only other references.
    drop(batches);
    assert_eq!(Arc::strong_count(&loader.shared), 1);
}
