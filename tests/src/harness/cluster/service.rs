//! Programs on loopback ports as Services of the cluster.

use std::net::{Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::Namespace;

impl Namespace<'_> {
    /// Makes the program on `local_port` answer as Service `name` on `port`, through the API server's service proxy,
    /// for webhooks and for aggregated APIs.
    ///
    /// There is no node: the Pod behind the Service is a name with an address, and the cluster's way out leads that
    /// address to the loopback port.
    pub async fn expose(&self, name: &str, port: u16, local_port: u16) {
        let service: Service = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "ports": [{ "name": "http", "port": port, "targetPort": port }] },
        }))
        .expect("a Service");
        let service = self.create(&service).await;
        // Webhooks are asked at the address of the Service itself.
        let address = service.spec.and_then(|spec| spec.cluster_ip?.parse().ok());
        if let Some(address) = address {
            let routes = &self.cluster().routes;
            routes.lead(SocketAddrV4::new(address, port), local_port);
        }
        self.answer_for(name, Some("http"), port, local_port).await;
    }

    /// The same for a Service that is there already, whose port has this name or none.
    pub async fn answer_for(
        &self,
        name: &str,
        port_name: Option<&str>,
        port: u16,
        local_port: u16,
    ) {
        let address = pod_address();
        self.cluster()
            .routes
            .lead(SocketAddrV4::new(address, port), local_port);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": format!("{name}-0"), "labels": { "app": name } },
            "spec": { "nodeName": "no-node", "containers": [{ "name": "main", "image": "none" }] },
        }))
        .expect("a Pod");
        let pod = self.create(&pod).await;
        let status = json!({ "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{ "ip": address }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        }});
        let pods: Api<Pod> = self.api();
        let pod_name = pod.metadata.name.expect("a created Pod has a name");
        pods.patch_status(&pod_name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .expect("a Pod's status can be set");
        let endpoints: Endpoints = serde_json::from_value(json!({
            "metadata": { "name": name },
            "subsets": [{
                "addresses": [{
                    "ip": address,
                    "targetRef": { "kind": "Pod", "name": pod_name, "namespace": self.name(), "uid": pod.metadata.uid },
                }],
                "ports": [{ "name": port_name, "port": port }],
            }],
        }))
        .expect("Endpoints");
        self.create(&endpoints).await;
    }
}

/// An address of the Pods' network that no other Pod of this process has.
fn pod_address() -> Ipv4Addr {
    let number = super::number();
    let [_, _, high, low] = (number + 5).to_be_bytes();
    Ipv4Addr::new(10, 244, high, low)
}
