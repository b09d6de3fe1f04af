//! The page of a search.

use kinsight_report::Picture;
use kinsight_report::search::{SearchHit, SearchPage};

#[test]
fn names_cannot_break_out_of_the_page() {
    let page = SearchPage {
        queries: vec![Picture::jpeg("", "no<where>.jpg", Vec::new())],
        condition: Some("a < 'b'".into()),
        remark: "nothing like it here; the nearest:".into(),
        hits: vec![SearchHit {
            picture: Picture::jpeg("<script>alert(1)</script>", "a\" onerror=\"x.jpg", b"jpeg".to_vec()),
            score: 0.5,
            verdict: "same".into(),
        }],
    };
    let html = page.to_html();
    assert!(!html.contains("<script>alert") && !html.contains("onerror=\"x") && !html.contains("<where>"));
    for part in
        ["&lt;script&gt;", "0.5000", "the file cannot be read", "a &lt; 'b'", "nothing like it", "base64,anBlZw=="]
    {
        assert!(html.contains(part), "no {part} in {html}");
    }
    assert!(!SearchPage::default().to_html().contains("Only where"));
}
