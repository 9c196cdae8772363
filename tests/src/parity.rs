//! The parity tables in `docs/src/parity/` name tests that exist.
//!
//! The last cell of each row says what shows the row: names of tests in backticks, `test_name` or `path::test_name`,
//! where the path is made of folders, file stems or module names (`integration::i16_create`); a backticked word with a
//! slash is a file of this repository. A row that nothing shows says why instead, and no cell is empty.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Test names, and for each the places it is defined in: folders, file stem and modules.
type Tests = BTreeMap<String, Vec<Vec<String>>>;

#[test]
fn the_tests_that_parity_tables_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut tests = Tests::new();
    for folder in [
        "cli",
        "controller",
        "crypto",
        "documents",
        "resources",
        "template",
        "providers",
        "pflag",
        "kubeconfig",
        "re2",
        "tests",
    ] {
        for file in files(&root.join(folder), "rs") {
            collect(
                file.strip_prefix(root).unwrap(),
                &fs::read_to_string(&file).unwrap(),
                &mut tests,
            );
        }
    }
    let mut wrong = Vec::new();
    for page in files(&root.join("docs/src/parity"), "md") {
        let text = fs::read_to_string(&page).unwrap();
        let page = page.file_name().unwrap().to_string_lossy().into_owned();
        for (line, complaint) in check(&text, &tests, &|path| root.join(path).exists()) {
            wrong.push(format!("{page}:{line}: {complaint}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_table_that_rots_is_noticed() {
    let mut tests = Tests::new();
    let source = "mod inner {\n #[test]\n #[ignore]\n fn it_works() {}\n fn helper() {}\n}\n#[tokio::test]\npub async fn c1_starts() {}\n";
    collect(Path::new("a/tests/b/case.rs"), source, &mut tests);
    let check = |cell: &str| {
        let table =
            format!("| # | fact | shown by |\n|---|---|---|\n| 1 | `a_b` \\| c | {cell} |\n");
        check(&table, &tests, &|path| path == "a/b.txt").len()
    };
    for good in [
        "`it_works`",
        "`case::it_works`, `c1_starts`",
        "`b::c1_starts` and `a/b.txt`",
        "not done: no reason",
    ] {
        assert_eq!(check(good), 0, "{good}");
    }
    for bad in [
        "`helper`",
        "`other::it_works`",
        "`c1_start`",
        "",
        "`a/c.txt`",
    ] {
        assert_eq!(check(bad), 1, "{bad}");
    }
}

/// The complaints about the tables of a page, with their line numbers.
fn check(page: &str, tests: &Tests, exists: &dyn Fn(&str) -> bool) -> Vec<(usize, String)> {
    let mut complaints = Vec::new();
    let lines: Vec<&str> = page.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let next = lines.get(number + 1).copied().unwrap_or_default();
        // The row of names above the rule and the rule itself.
        if !line.starts_with('|') || is_rule(line) || is_rule(next) {
            continue;
        }
        let cell = last_cell(line);
        if cell.is_empty() {
            complaints.push((
                number + 1,
                "nothing shows this row, and nothing says why".to_owned(),
            ));
        }
        for name in cell.split('`').skip(1).step_by(2) {
            let known = match name.contains('/') {
                true => exists(name),
                false => is_test(name, tests),
            };
            if !known {
                complaints.push((number + 1, format!("there is no {name}")));
            }
        }
    }
    complaints
}

fn is_rule(line: &str) -> bool {
    line.starts_with('|') && line.contains("--") && line.chars().all(|char| "|-: ".contains(char))
}

fn last_cell(line: &str) -> &str {
    let line = line.trim_end();
    let line = line.strip_suffix('|').unwrap_or(line);
    line.rsplit('|').next().unwrap_or_default().trim()
}

fn is_test(name: &str, tests: &Tests) -> bool {
    let mut path: Vec<&str> = name.split("::").collect();
    let name = path.pop().unwrap_or_default();
    let places = tests.get(name).map(Vec::as_slice).unwrap_or_default();
    places.iter().any(|place| {
        path.iter()
            .all(|part| place.iter().any(|known| known == part))
    })
}

/// Notes the functions under a test attribute.
fn collect(file: &Path, source: &str, tests: &mut Tests) {
    let mut place: Vec<String> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let modules = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("mod ")?.strip_suffix(" {"));
    place.extend(modules.map(str::to_owned));
    let mut attribute = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test") || line.starts_with("#[tokio::test") {
            attribute = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| attribute) {
            let name: String = rest
                .chars()
                .take_while(|char| char.is_alphanumeric() || *char == '_')
                .collect();
            tests.entry(name).or_default().push(place.clone());
            attribute = false;
        }
    }
}

/// All files with the extension below a folder, none if there is no such folder.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|known| known == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
