//! `portcullis.toml`: the gateway takes it, and it agrees with the files around it.

use std::{fs, net::IpAddr, os::unix::fs::PermissionsExt, time::SystemTime};

use portcullis::config::{Loaded, Surroundings, compile_text, render};
use serde_json::json;

use crate::{read, settings, yaml};

/// What `check` says of any gateway whose metrics others reach; here the network keeps them out.
const EXPECTED_WARNINGS: [&str; 1] = ["other machines can read the metrics"];

fn host() -> String {
    let variables = read("deploy/.env.example");
    let line = variables.lines().find_map(|line| line.strip_prefix("PUBLIC_HOST="));
    line.unwrap().to_owned()
}

/// Compiles beside a certificate for the public host.
fn compile(text: &str) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    fs::create_dir(&tls).unwrap();
    let made = rcgen::generate_simple_self_signed(vec![host()]).unwrap();
    fs::write(tls.join("fullchain.pem"), made.cert.pem()).unwrap();
    let key = tls.join("privkey.pem");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let environment = |_: &str| None;
    let around =
        Surroundings { base_dir: dir.path(), environment: &environment, now: SystemTime::now() };
    compile_text(text, around)
}

#[test]
fn the_gateway_takes_its_configuration() {
    let loaded = compile(&read("deploy/portcullis.toml"));
    let said = render(&loaded.problems, &loaded.source, "portcullis.toml", false);
    assert!(loaded.snapshot.is_some(), "{said}");
    for problem in &loaded.problems {
        let expected = EXPECTED_WARNINGS.iter().any(|text| problem.message.starts_with(text));
        assert!(expected, "{said}");
    }
}

#[test]
fn the_admin_address_is_one_everywhere_and_only_prometheus_reaches_it() {
    let admin = &settings()["admin"]["address"];
    let compose = yaml("deploy/compose.yaml");
    let own =
        compose["services"]["portcullis"]["networks"]["watch"]["ipv4_address"].as_str().unwrap();
    assert_eq!(*admin, format!("{own}:9464"));
    let watch = &compose["networks"]["watch"];
    assert_eq!(watch["internal"], true);
    let net = |key: &str| {
        watch["ipam"]["config"][0][key].as_str().unwrap().parse::<ipnet::IpNet>().unwrap()
    };
    let own: IpAddr = own.parse().unwrap();
    assert!(net("subnet").contains(&own));
    assert!(!net("ip_range").contains(&own), "another service could start first, and have it");
    let scraped = &yaml("deploy/prometheus/prometheus.yml")["scrape_configs"][0];
    assert_eq!(scraped["job_name"], "portcullis");
    assert_eq!(scraped["static_configs"][0]["targets"][0], *admin);
}

#[test]
fn every_route_is_of_the_public_host_and_every_upstream_of_postiz() {
    let settings = settings();
    for route in settings["routes"].as_array().unwrap() {
        assert_eq!(route["hosts"], json!([host()]));
    }
    for (name, endpoint) in
        [("postiz", "http://postiz:3000"), ("postiz-site", "http://postiz:5000")]
    {
        assert_eq!(settings["upstreams"][name]["endpoints"], json!([endpoint]));
    }
}
