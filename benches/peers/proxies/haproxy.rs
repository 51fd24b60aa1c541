//! HAProxy; its log goes to a socket that nobody reads, as it can't write files.

use std::{path::Path, process::Command};

use super::Site;

pub(super) const PROGRAM: &str = "haproxy";

pub(super) fn command(config: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("-db").arg("-f").arg(config);
    command
}

pub(super) fn config(site: &Site<'_>) -> String {
    let Site { address, server, trust, log_sink, .. } = site;
    let pair = trust.pair.display();
    format!(
        r#"
global
    log {log_sink} local0
    maxconn 8000
defaults
    mode http
    log global
    option httplog
    option http-keep-alive
    option forwardfor
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
backend keys
    stick-table type string len 80 size 100k expire 1m store http_req_rate(10s)
frontend https
    bind {address} ssl crt {pair} ssl-min-ver TLSv1.2
    acl refused src 192.0.2.0/24 198.51.100.0/24
    tcp-request connection reject if refused
    http-request track-sc0 path,field(4,/) table keys
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 100000000 }}
    http-request set-header X-Forwarded-Proto https
    http-request replace-path /api/(.*) /\1
    default_backend server
backend server
    http-reuse always
    server one {server}
"#
    )
}
