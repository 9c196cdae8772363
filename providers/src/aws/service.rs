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

/// The endpoint of a service in a region, of the kind that the environment asks for.
pub(crate) fn endpoint(service: &str, region: &str) -> String {
    let on = |name: &str| std::env::var(name).is_ok_and(|text| text.eq_ignore_ascii_case("true"));
    let (fips, dual) = (
        on("AWS_USE_FIPS_ENDPOINT"),
        on("AWS_USE_DUALSTACK_ENDPOINT"),
    );
    endpoint_of(service, region, fips, dual)
}

/// The endpoint by the vendor's rules for each service. Most hosts are made of the same parts, and some are not.
fn endpoint_of(service: &str, region: &str, fips: bool, dual: bool) -> String {
    let host = match (service, fips, dual) {
        ("api.ecr", true, true) => "ecr-fips".to_owned(),
        ("api.ecr", false, true) => "ecr".to_owned(),
        ("api.ecr-public", false, true) => "ecr-public".to_owned(),
        ("ssm" | "acm" | "sts", true, false) if region.starts_with("us-gov-") => service.to_owned(),
        ("s3", true, true) => "s3-fips.dualstack".to_owned(),
        ("s3", false, true) => "s3.dualstack".to_owned(),
        (_, true, _) => format!("{service}-fips"),
        (_, false, _) => service.to_owned(),
    };
    // Hosts that have both kinds of addresses under their plain names.
    let is_plain = match service {
        "s3" => true,
        "secretsmanager" => !region.starts_with("eusc-") && !region.contains("-iso"),
        _ => false,
    };
    let dual = dual && !is_plain;
    let suffixes = match region {
        _ if region.starts_with("cn-") => ["amazonaws.com.cn", "api.amazonwebservices.com.cn"],
        _ if region.starts_with("eusc-") => ["amazonaws.eu", "api.amazonwebservices.eu"],
        _ if region.starts_with("us-isob-") => ["sc2s.sgov.gov", "api.aws.scloud"],
        _ if region.starts_with("us-isof-") => ["csp.hci.ic.gov", "api.aws.hci.ic.gov"],
        _ if region.starts_with("eu-isoe-") => ["cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"],
        _ if region.starts_with("us-iso-") => ["c2s.ic.gov", "api.aws.ic.gov"],
        _ => ["amazonaws.com", "api.aws"],
    };
    format!("https://{host}.{region}.{}", suffixes[usize::from(dual)])
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

    #[test]
    fn endpoints_of_other_kinds_have_the_hosts_of_the_vendors_rules() {
        const PLAIN: (bool, bool) = (false, false);
        const FIPS: (bool, bool) = (true, false);
        const DUAL: (bool, bool) = (false, true);
        const BOTH: (bool, bool) = (true, true);
        let (ireland, america, china) = ("eu-west-1", "us-gov-west-1", "cn-north-1");
        for (service, region, kind, host) in [
            ("kms", ireland, FIPS, "kms-fips.eu-west-1.amazonaws.com"),
            ("kms", ireland, DUAL, "kms.eu-west-1.api.aws"),
            ("kms", america, FIPS, "kms-fips.us-gov-west-1.amazonaws.com"),
            ("ssm", ireland, FIPS, "ssm-fips.eu-west-1.amazonaws.com"),
            ("ssm", america, FIPS, "ssm.us-gov-west-1.amazonaws.com"),
            ("ssm", america, BOTH, "ssm-fips.us-gov-west-1.api.aws"),
            ("acm", america, FIPS, "acm.us-gov-west-1.amazonaws.com"),
            ("s3", ireland, DUAL, "s3.dualstack.eu-west-1.amazonaws.com"),
            (
                "s3",
                america,
                BOTH,
                "s3-fips.dualstack.us-gov-west-1.amazonaws.com",
            ),
            (
                "s3",
                china,
                DUAL,
                "s3.dualstack.cn-north-1.amazonaws.com.cn",
            ),
            ("api.ecr", ireland, PLAIN, "api.ecr.eu-west-1.amazonaws.com"),
            (
                "api.ecr",
                ireland,
                FIPS,
                "api.ecr-fips.eu-west-1.amazonaws.com",
            ),
            ("api.ecr", ireland, DUAL, "ecr.eu-west-1.api.aws"),
            ("api.ecr", america, BOTH, "ecr-fips.us-gov-west-1.api.aws"),
            (
                "api.ecr",
                china,
                DUAL,
                "ecr.cn-north-1.api.amazonwebservices.com.cn",
            ),
            (
                "api.ecr-public",
                "us-east-1",
                DUAL,
                "ecr-public.us-east-1.api.aws",
            ),
            (
                "secretsmanager",
                ireland,
                DUAL,
                "secretsmanager.eu-west-1.amazonaws.com",
            ),
            (
                "kms",
                "us-iso-east-1",
                DUAL,
                "kms.us-iso-east-1.api.aws.ic.gov",
            ),
        ] {
            let (fips, dual) = kind;
            let endpoint = endpoint_of(service, region, fips, dual);
            assert_eq!(endpoint, format!("https://{host}"));
        }
    }
}
