//! Links between the pages of the repository lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

/// All pages, without those that tools put somewhere.
fn pages(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            let skipped = name == "target" || name.to_string_lossy().starts_with('.');
            if !skipped {
                pages(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The targets of `[text](target)`, outside of code.
fn links(page: &str) -> Vec<&str> {
    let mut in_code = false;
    let prose = page.lines().filter(|line| {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        !in_code
    });
    prose
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .collect()
}

#[test]
fn links_between_pages_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    pages(&root, &mut found);
    let mut followed = 0;
    let mut dead = Vec::new();
    for page in found {
        let text = fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            let (path, _) = link.split_once('#').unwrap_or((link, ""));
            let is_file = !path.is_empty() && !path.contains("://") && !path.contains("::");
            // Names of items are links too, in pages that rustdoc includes.
            let is_item = !path.contains(['.', '/']);
            if is_file && !is_item {
                followed += 1;
                if !page.with_file_name("").join(path).exists() {
                    dead.push(format!("{}: {link}", page.display()));
                }
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(followed > 10, "only {followed} links were found");
}

#[test]
fn code_holds_no_links() {
    let page =
        "see [one](one.md) and [two](b/two.md#part)\n```text\n[no](no.md)\n```\n[three](c.md)";
    assert_eq!(links(page), ["one.md", "b/two.md#part", "c.md"]);
}
