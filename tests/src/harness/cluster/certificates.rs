//! The certificates of one cluster, made on the spot.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Writes `ca.crt`, `server.crt/key`, `admin.crt/key` and `accounts.key/pub` into `folder`.
pub(super) fn write(folder: &Path) -> Result<(), String> {
    let make = || -> Result<Vec<(&str, String)>, rcgen::Error> {
        let authority_key = KeyPair::generate()?;
        let mut authority = parameters(&[], "sealwright test authority", None)?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);

        let names = [
            "localhost",
            "127.0.0.1",
            "10.0.0.1",
            "kubernetes.default.svc",
        ];
        let server_key = KeyPair::generate()?;
        let server = parameters(&names, "kube-apiserver", None)?.signed_by(&server_key, &issuer)?;
        let admin_key = KeyPair::generate()?;
        let admin =
            parameters(&[], "admin", Some("system:masters"))?.signed_by(&admin_key, &issuer)?;
        let accounts = KeyPair::generate()?;
        Ok(vec![
            ("ca.crt", authority_certificate.pem()),
            ("server.crt", server.pem()),
            ("server.key", server_key.serialize_pem()),
            ("admin.crt", admin.pem()),
            ("admin.key", admin_key.serialize_pem()),
            ("accounts.key", accounts.serialize_pem()),
            ("accounts.pub", accounts.public_key_pem()),
        ])
    };
    let files =
        make().map_err(|error| format!("cannot make the cluster's certificates: {error}"))?;
    files.into_iter().try_for_each(|(name, text)| {
        fs::write(folder.join(name), text).map_err(|error| format!("cannot write {name}: {error}"))
    })
}

fn parameters(
    names: &[&str],
    common: &str,
    organization: Option<&str>,
) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common);
    if let Some(organization) = organization {
        subject.push(DnType::OrganizationName, organization);
    }
    parameters.distinguished_name = subject;
    Ok(parameters)
}
