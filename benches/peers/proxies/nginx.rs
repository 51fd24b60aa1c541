//! nginx, as its documentation has it for streams: nothing buffered in either direction.

use std::{path::Path, process::Command};

use super::Site;

pub(super) const PROGRAM: &str = "nginx";

pub(super) fn command(config: &Path, own: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("-e").arg(own.join("error.log")).arg("-c").arg(config);
    command
}

pub(super) fn config(site: &Site<'_>) -> String {
    let Site { address, server, trust, own, .. } = site;
    let (cert, key, own) = (trust.certificate.display(), trust.key.display(), own.display());
    format!(
        r#"
daemon off;
worker_processes auto;
pid {own}/pid;
error_log {own}/error.log;
events {{ worker_connections 8000; }}
http {{
    access_log {own}/access.log combined;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    map $uri $mcp_key {{ "~^/api/mcp/(?<segment>[^/]+)" $segment; }}
    limit_req_zone $mcp_key zone=keys:10m rate=1000000r/s;
    upstream server {{
        server {server};
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen {address} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        keepalive_requests 100000000;
        location /api/mcp/ {{
            deny 192.0.2.0/24;
            deny 198.51.100.0/24;
            allow all;
            limit_req zone=keys burst=100000 nodelay;
            proxy_pass http://server/mcp/;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_buffering off;
            proxy_cache off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"#
    )
}
