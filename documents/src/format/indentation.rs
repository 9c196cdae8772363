//! How many blanks may stand before the lines of what is written.
//!
//! A level costs the author of a document a byte or two, and every line below it as many blanks as there are levels. So a
//! short text of a thousand levels, a long one behind a thousand blanks, or an alias at such a place would become
//! gigabytes.

/// The blanks that any document may have.
pub(crate) const IN_A_DOCUMENT: usize = 4 << 20;

/// The blanks that any single value may have.
pub(crate) const IN_A_VALUE: usize = 4 << 10;

/// What is said of a document with more of them.
pub(crate) const EXCESSIVE: &str =
    "it is nested too deeply to be written with a line for each value";

/// Whether there are more blanks than are free, and than the other bytes of the text explain.
pub(crate) fn is_excessive(blanks: usize, others: usize, free: usize) -> bool {
    blanks > free.saturating_add(others.saturating_mul(16))
}

#[cfg(test)]
mod tests {
    use sealwright_crypto::secret::{SecretBytes, SecretWriter};

    use super::*;
    use crate::data::Data;
    use crate::format::{Layout, by_name};
    use crate::scalar::Scalar;
    use crate::tree::Tree;

    fn parse(format: &str, text: &str) -> Tree {
        let text = SecretBytes::copy_of(text.as_bytes());
        by_name(format).unwrap().parse(text).unwrap()
    }

    fn nested(levels: usize, values: usize) -> String {
        let list = "1,".repeat(values) + "1";
        format!("{}[{list}]{}", "{\"a\":".repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn a_deep_list_is_not_written_line_by_line() {
        let document = Data::listed(&parse("json", &nested(900, 100_000)));
        for name in ["json", "yaml"] {
            let written = by_name(name).unwrap().render(&document, Layout::default());
            assert_eq!(written.unwrap_err().reason, EXCESSIVE, "{name}");
        }
        let document = Data::listed(&parse("json", &nested(50, 10_000)));
        for name in ["json", "yaml"] {
            let written = by_name(name).unwrap().render(&document, Layout::default());
            assert!(written.is_ok(), "{name}");
        }
    }

    /// A flow document is written line by line before it is encrypted.
    #[test]
    fn a_deep_flow_document_is_refused() {
        let yaml = by_name("yaml").unwrap();
        let refused = yaml.prepare(parse("yaml", &nested(900, 100_000)));
        assert_eq!(refused.err().unwrap().reason, EXCESSIVE);
    }

    #[test]
    fn many_documents_have_the_bound_of_one() {
        let document = nested(900, 1_000) + "\n";
        let yaml = by_name("yaml").unwrap();
        let refused = yaml.prepare(parse("yaml", &vec![document; 60].join("---\n")));
        assert_eq!(refused.err().unwrap().reason, EXCESSIVE);
    }

    #[test]
    fn lines_far_to_the_right_are_written_in_quotes() {
        let far = " ".repeat(10_000);
        let tree = parse("yaml", &format!("a:\n{far}b: x\n{far}# c\n{far}c: y\n"));
        let lines = "x\n".repeat(10_000);
        let yaml = by_name("yaml").unwrap();
        let mut out = SecretWriter::default();
        let value = (0..tree.nodes.len()).find(|node| tree.spelling(*node) == b"x");
        let spelled = yaml.spell(
            &tree,
            value.unwrap(),
            Scalar::Str(lines.as_bytes()),
            &mut out,
        );
        assert!(spelled.is_ok() && out.len() < 4 * lines.len());
        let comment = (0..tree.nodes.len()).find(|node| tree.spelling(*node) == b" c");
        let comment = comment.unwrap();
        let spelled = yaml.spell(&tree, comment, Scalar::Comment(lines.as_bytes()), &mut out);
        assert!(spelled.is_err());
    }

    #[test]
    fn json_takes_no_level_of_millions_of_columns() {
        let document = [Data::Map(vec![(Data::key("a"), Data::Int(1))])];
        let json = by_name("json").unwrap();
        let layout = |indent| Layout {
            indent: Some(indent),
        };
        assert!(json.render(&document, layout(i32::MAX)).is_err());
        assert!(json.render(&document, layout(8)).is_ok());
    }
}
