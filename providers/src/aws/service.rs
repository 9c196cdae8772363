//! The services of AWS: what each is called, and where it is.

/// A service: what it is called in host names, signatures, targets and variables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// In signatures.
    pub(super) name: &'static str,
    /// In host names.
    pub(super) host: &'static str,
    /// In permissions, such as `secretsmanager` in `secretsmanager:GetSecretValue`.
    pub(super) permission: &'static str,
    /// Before the dot of `X-Amz-Target`.
    pub(super) target: &'static str,
    /// For people.
    pub(super) title: &'static str,
    /// Upstream's own variable for the endpoint.
    pub(super) own_variable: &'static str,
    /// The ending of `AWS_ENDPOINT_URL_…`.
    pub(super) variable: &'static str,
}

impl Service {
    /// The variables for its endpoint: the first that counts, and the ending of the vendor's.
    pub(crate) const fn variables(&self) -> (&'static str, &'static str) {
        (self.own_variable, self.variable)
    }
}

pub(crate) const SECRETS_MANAGER: Service = Service {
    name: "secretsmanager",
    host: "secretsmanager",
    permission: "secretsmanager",
    target: "secretsmanager",
    title: "AWS Secrets Manager",
    own_variable: "AWS_SECRETSMANAGER_ENDPOINT",
    variable: "SECRETS_MANAGER",
};
pub(crate) const SYSTEMS_MANAGER: Service = Service {
    name: "ssm",
    host: "ssm",
    permission: "ssm",
    target: "AmazonSSM",
    title: "AWS Parameter Store",
    own_variable: "AWS_SSM_ENDPOINT",
    variable: "SSM",
};
pub(crate) const CERTIFICATE_MANAGER: Service = Service {
    name: "acm",
    host: "acm",
    permission: "acm",
    target: "CertificateManager",
    title: "AWS Certificate Manager",
    own_variable: "AWS_ACM_ENDPOINT",
    variable: "ACM",
};
pub(crate) const TAGGING: Service = Service {
    name: "tagging",
    host: "tagging",
    permission: "tag",
    target: "ResourceGroupsTaggingAPI_20170126",
    title: "AWS Resource Groups Tagging",
    own_variable: "AWS_RESOURCE_GROUPS_TAGGING_API_ENDPOINT",
    variable: "RESOURCE_GROUPS_TAGGING_API",
};
pub(crate) const KEY_SERVICE: Service = Service {
    name: "kms",
    host: "kms",
    permission: "kms",
    target: "TrentService",
    title: "AWS KMS",
    own_variable: "AWS_KMS_ENDPOINT",
    variable: "KMS",
};

pub(crate) const STORAGE: Service = Service {
    name: "s3",
    host: "s3",
    permission: "s3",
    target: "",
    title: "AWS S3",
    own_variable: "AWS_ENDPOINT_URL_S3",
    variable: "S3",
};

pub(crate) const REGISTRY: Service = Service {
    name: "ecr",
    host: "api.ecr",
    permission: "ecr",
    target: "AmazonEC2ContainerRegistry_V20150921",
    title: "AWS Elastic Container Registry",
    own_variable: "AWS_ECR_ENDPOINT",
    variable: "ECR",
};
pub(crate) const PUBLIC_REGISTRY: Service = Service {
    name: "ecr-public",
    host: "api.ecr-public",
    permission: "ecr-public",
    target: "SpencerFrontendService",
    title: "AWS Elastic Container Registry Public",
    own_variable: "AWS_ECR_PUBLIC_ENDPOINT",
    variable: "ECR_PUBLIC",
};

/// Returns the endpoint that the environment sets: upstream's own variable first, then those of the vendor.
pub(crate) fn endpoint_override(own: &str, service: &str) -> Option<String> {
    let read = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
    if let Some(url) = read(own) {
        return Some(url);
    }
    let ignored = read("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|text| text == "true");
    if ignored {
        return None;
    }
    read(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| read("AWS_ENDPOINT_URL"))
}

/// The endpoint of a service in a region.
pub(crate) fn endpoint(service: &str, region: &str) -> String {
    let on = |name: &str| std::env::var(name).is_ok_and(|text| text.eq_ignore_ascii_case("true"));
    let fips = if on("AWS_USE_FIPS_ENDPOINT") {
        "-fips"
    } else {
        ""
    };
    let dual = on("AWS_USE_DUALSTACK_ENDPOINT");
    let suffix = match (region.split('-').next().unwrap_or_default(), dual) {
        ("cn", false) => "amazonaws.com.cn",
        ("cn", true) => "api.amazonwebservices.com.cn",
        ("eusc", false) => "amazonaws.eu",
        ("eusc", true) => "api.amazonwebservices.eu",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("us-isof-") || region.starts_with("eu-isoe-") => {
            if region.starts_with("us") {
                "csp.hci.ic.gov"
            } else {
                "cloud.adc-e.uk"
            }
        }
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        (_, true) => "api.aws",
        (_, false) => "amazonaws.com",
    };
    format!("https://{service}{fips}.{region}.{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_the_hosts_of_their_partitions() {
        assert_eq!(
            endpoint("ssm", "eu-west-1"),
            "https://ssm.eu-west-1.amazonaws.com"
        );
        assert_eq!(
            endpoint("kms", "cn-north-1"),
            "https://kms.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(
            endpoint("kms", "us-iso-east-1"),
            "https://kms.us-iso-east-1.c2s.ic.gov"
        );
        assert_eq!(
            endpoint("kms", "us-gov-west-1"),
            "https://kms.us-gov-west-1.amazonaws.com"
        );
    }
}
