//! nginx as it is set up for streams: what comes from the server isn't buffered, nor what goes there
//! where it is large.

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
        deny 192.0.2.0/24;
        deny 198.51.100.0/24;
        allow all;
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_buffering off;
        proxy_cache off;
        proxy_read_timeout 1h;
        location /api/mcp/ {{
            limit_req zone=keys burst=100000 nodelay;
            proxy_pass http://server/mcp/;
        }}
        location /files/ {{
            client_max_body_size 0;
            proxy_request_buffering off;
            # With the buffer of 4 KiB that it has by itself, a download takes twice the time.
            proxy_buffers 8 64k;
            proxy_buffer_size 64k;
            proxy_busy_buffers_size 64k;
            proxy_pass http://server;
        }}
    }}
}}
"#
    )
}
