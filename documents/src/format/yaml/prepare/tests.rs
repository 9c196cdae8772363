use super::*;
use crate::format::Format as _;
use crate::format::yaml::Yaml;

fn prepared(text: &str) -> Result<Prepared, ParseError> {
    let tree = Yaml.parse(SecretBytes::copy_of(text.as_bytes()))?;
    Yaml.prepare(tree)
}

/// The order of comments is that of the whole tree, and is found out once.
#[test]
fn thousands_of_aliases_of_a_map_with_a_comment_are_written_out() {
    let text = "a: &x\n  # c\n  k: 1\nb:\n".to_owned() + &"- *x\n- 1\n".repeat(40_000);
    let written = prepared(&text).unwrap().tree;
    assert_eq!(
        written
            .text
            .expose()
            .windows(3)
            .filter(|it| *it == b"# c")
            .count(),
        40_001
    );
}

#[test]
fn thousands_of_documents_in_braces_are_written_again() {
    let text = "{a: 1}\n---\n".repeat(40_000) + "a: 1\n";
    assert_eq!(prepared(&text).unwrap().tree.documents.len(), 40_001);
}

/// The block of each is taken out without a look at what stands before.
#[test]
fn thousands_of_documents_with_blocks_follow_thousands_of_anchors_and_comments() {
    let anchors: String = (0..50_000)
        .map(|at| format!("k{at}: &x{at} v # c\n"))
        .collect();
    let text = anchors + &"---\na: &y b\nsops: {mac: x}\nc: 1\n".repeat(20_000);
    let tree = Yaml.parse(SecretBytes::copy_of(text.as_bytes())).unwrap();
    assert_eq!((tree.documents.len(), tree.blocks.len()), (20_001, 20_000));
}

/// Comments above an element of a list belong to it, and to each alias of it.
#[test]
fn thousands_of_aliases_share_thousands_of_comments() {
    let comments = "# c\n".repeat(20_000);
    let aliases = "*x, 1, ".repeat(20_000);
    let text = format!("a:\n{comments}- &x [1]\nb: [{aliases}]\n");
    let refused = Yaml.parse(SecretBytes::copy_of(text.as_bytes()));
    assert!(refused.is_err_and(|error| error.reason.contains("aliases")));
}

#[test]
fn a_document_has_one_block() {
    let text = "a: 1\n---\nsops: {mac: x}\nsops: {mac: y}\n";
    let refused = Yaml.parse(SecretBytes::copy_of(text.as_bytes()));
    assert!(refused.is_err_and(|error| error.reason.contains("second sops block")));
}

/// Each alias is written out at its own column.
#[test]
fn aliases_far_to_the_right_are_refused() {
    let entries: String = (0..2_000).map(|at| format!("  k{at}: v\n")).collect();
    let far = " ".repeat(5_000);
    let aliases: String = (0..20).map(|at| format!("{far}k{at}: *x\n")).collect();
    let text = format!("a: &x\n  # c\n{entries}b:\n{aliases}");
    assert_eq!(
        prepared(&text).err().unwrap().reason,
        indentation::EXCESSIVE
    );
}
