//! Command lines of `kubectl`, `helm` and this program.

/// How the cluster is reached, and what is at hand.
pub(super) struct Tools {
    pub(super) kubeconfig: Option<String>,
    pub(super) context: Option<String>,
    pub(super) chart: String,
    /// Values of the chart that were asked for.
    pub(super) values: Vec<String>,
    /// The controller's program is here, too; it has a command of its own that cleans statuses.
    pub(super) has_controller: bool,
}

impl Tools {
    pub(super) fn kubectl(&self, words: &[&str]) -> Vec<String> {
        let mut line = vec!["kubectl".to_owned()];
        line.extend(words.iter().map(|word| (*word).to_owned()));
        self.reach(&mut line, "--context");
        line
    }

    pub(super) fn helm(&self, words: &[&str]) -> Vec<String> {
        let mut line = vec!["helm".to_owned()];
        line.extend(words.iter().map(|word| (*word).to_owned()));
        self.reach(&mut line, "--kube-context");
        line
    }

    pub(super) fn sealwright(&self, words: &[&str]) -> Vec<String> {
        let mut line = vec!["sealwright".to_owned()];
        line.extend(words.iter().map(|word| (*word).to_owned()));
        self.reach(&mut line, "--context");
        line
    }

    fn reach(&self, line: &mut Vec<String>, context: &str) {
        if let Some(kubeconfig) = &self.kubeconfig {
            line.push(format!("--kubeconfig={kubeconfig}"));
        }
        if let Some(name) = &self.context {
            line.push(format!("{context}={name}"));
        }
    }
}

/// Returns true if a command line installs this project's chart.
pub(super) fn installs(words: &[String]) -> bool {
    words.iter().any(|word| word == "--install")
}
