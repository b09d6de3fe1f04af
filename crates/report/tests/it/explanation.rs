//! The page of an explanation.

use kinsight_data::{Preprocess, RgbImage};
use kinsight_report::explanation::{Evidence, Explanation, ProxyShare, explanation_page};

#[test]
fn hostile_names_stay_text_and_sections_without_data_are_left_out() {
    let evidence = Evidence {
        grid: 2,
        patches: vec![0.1; 16],
        prompts: [vec![vec![0.25; 4]; 20], Vec::new()],
        ..Evidence::default()
    };
    let explanation = Explanation::new(evidence, [(4, 4), (4, 4)], &Preprocess::default());
    let picture = RgbImage::new(4, 4, vec![90; 48]).unwrap();
    let proxies = [ProxyShare { class: "<script>x".into(), similarity: [0.5, f32::NAN], share: 0.2 }];
    let page =
        |proxies| explanation_page(&explanation, [&picture, &picture], ["<img src=x>.jpg", "b"], proxies).unwrap();
    let whole = page(&proxies);
    assert!(!whole.contains("<img src=x>") && !whole.contains("<script>x") && whole.contains("&lt;script&gt;x"));
    assert!(whole.contains("the first 16 of 20") && whole.contains("Prompt 16") && !whole.contains("Prompt 17"));
    assert!(whole.contains("id=\"proxies\"") && !page(&[]).contains("id=\"proxies\""));
    assert_eq!(whole, page(&proxies));
}
