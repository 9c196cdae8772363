//! Certificate Manager.

use sealwright_providers::store::{Pushed, WriteMode};
use serde_json::{Value, json};

use super::super::support::{item, source};
use super::{against, store};

/// Moto gives a root of its own to every certificate and loses the tags of one that is imported again, so only a peer can show
/// that an equal one is left alone and another one takes its place.
#[tokio::test]
async fn a_certificate_is_imported_again_only_if_it_is_another_one() {
    let case = "certificate_manager::a_certificate_is_imported_again_only_if_it_is_another_one";
    let pem = |name: &str| {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, name);
        format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
    };
    let held = pem("the one that is there");
    let asked = against(case, move |operation, _| {
        let answer = match operation {
            "GetResources" => {
                json!({"ResourceTagMappingList": [{"ResourceARN": "arn:aws:acm:eu-west-1:1:certificate/x"}]})
            }
            "ListTagsForCertificate" => json!({"Tags": [
                {"Key": "managed-by", "Value": "external-secrets"},
                {"Key": "external-secrets-remote-key", "Value": "web"}]}),
            "GetCertificate" => json!({"Certificate": held, "CertificateChain": held}),
            _ => json!({"CertificateArn": "arn:aws:acm:eu-west-1:1:certificate/x"}),
        };
        (200, answer.to_string())
    });
    if let Some(asked) = asked {
        let imports: Vec<_> = asked
            .iter()
            .filter(|(operation, _)| operation == "ImportCertificate")
            .collect();
        assert_eq!(imports.len(), 1, "{asked:?}");
        // It takes the place of the one that is there, whose tags stay.
        let body: Value = serde_json::from_str(&imports[0].1).unwrap();
        assert_eq!(
            body["CertificateArn"],
            "arn:aws:acm:eu-west-1:1:certificate/x"
        );
        assert!(body.get("Tags").is_none(), "{body}");
        return;
    }
    let store = store("CertificateManager", json!({})).await;
    let whole = item(None, "web", None);
    for (name, expected) in [
        ("the one that is there", Pushed::Unchanged),
        ("another one", Pushed::Updated),
    ] {
        let source = source(&[("tls.crt", &pem(name)), ("tls.key", "key")]);
        let pushed = store.push(&source, &whole, WriteMode::Apply).await.unwrap();
        assert_eq!(pushed, expected, "{name}");
    }
}
