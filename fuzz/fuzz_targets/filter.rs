//! Any text as a filter: a filter that parses is printed as text that parses to the same filter.
#![no_main]

use kinsight_index::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(filter) = text.parse::<Filter>() {
        let printed = filter.to_string();
        match printed.parse::<Filter>() {
            Ok(again) => assert_eq!(again, filter, "{printed}"),
            Err(error) => panic!("{printed}: {error}"),
        }
    }
});
