use std::net::SocketAddr;

use super::Stage;

/// The text that is printed once the gateway serves: what to paste into another terminal.
///
/// It shows the consumers' keys, which are made for this one run and open nothing else.
pub fn script(stage: &Stage, gateway: SocketAddr, admin: SocketAddr) -> String {
    let key = stage.consumer_key.expose();
    let ca = stage.authority_path.display();
    let endpoint = format!("https://localhost:{}/api/mcp", gateway.port());
    let url = format!("{endpoint}/{key}");
    let agent = stage.agent_key.expose();
    format!(
        r#"
Portcullis serves {url}
before an MCP server that speaks as Postiz does. Paste these into another terminal:

1. Open the legacy event stream. The endpoint it names is the public one; Ctrl-C closes it.

curl -sSN --cacert '{ca}' '{url}/sse'

2. Call a tool over streamable HTTP. Each event arrives as it is made, three a second.

curl -sSN --cacert '{ca}' -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d '{CALL}' '{url}'

3. Call 14 times at once. The key may call 10 times at once and 30 times a minute; then it reads why not.

for i in $(seq 14); do curl -sS --cacert '{ca}' -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d '{{"jsonrpc":"2.0","id":'$i',"method":"tools/list"}}' -w '\n' '{url}'; done

4. List the tools with the key of an agent that may use one of them, and let it call another.

for call in '{LIST}' '{CALL}'; do curl -sS --cacert '{ca}' -H 'Authorization: Bearer {agent}' -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -d "$call" -w '\n' '{endpoint}'; done

What was counted:

curl -sS 'http://{admin}/metrics' | grep portcullis_

For Claude Desktop, in claude_desktop_config.json:

{{
  "mcpServers": {{
    "postiz": {{
      "command": "npx",
      "args": ["-y", "mcp-remote", "{url}/sse"],
      "env": {{ "NODE_EXTRA_CA_CERTS": "{ca}" }}
    }}
  }}
}}

For a client that takes a URL (start it with NODE_EXTRA_CA_CERTS='{ca}'):

{{ "mcpServers": {{ "postiz": {{ "url": "{url}/sse" }} }} }}

The lines below are the gateway's log: a key is never in it. Ctrl-C ends the demonstration.
"#
    )
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"countdown","arguments":{"from":10},"_meta":{"progressToken":"demo"}}}"#;

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn text() -> (Stage, String) {
        let stage = Stage::prepare(SocketAddr::from(([127, 0, 0, 1], 3000))).unwrap();
        let addresses = [8443, 9464].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = script(&stage, addresses[0], addresses[1]);
        (stage, text)
    }

    #[test]
    fn every_command_is_one_line_that_bash_reads() {
        let (_stage, text) = text();
        let commands: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("curl") || line.starts_with("for"))
            .collect();
        assert_eq!(commands.len(), 5);
        for command in commands {
            let status = Command::new("bash").args(["-n", "-c", command]).status().unwrap();
            assert!(status.success(), "{command}");
        }
    }

    #[test]
    fn the_client_blocks_are_json() {
        let (stage, text) = text();
        let block = text.split_once("claude_desktop_config.json:").unwrap().1;
        let blocks = block.split_once("For a client").unwrap();
        let url = blocks.1.lines().find(|line| line.starts_with('{')).unwrap();
        for block in [blocks.0, url] {
            let json: serde_json::Value = serde_json::from_str(block).unwrap();
            assert!(json["mcpServers"]["postiz"].to_string().contains(stage.consumer_key.expose()));
        }
    }

    #[test]
    fn the_upstream_key_is_not_shown() {
        let (stage, text) = text();
        assert!(!text.contains(stage.key.expose()));
    }

    #[test]
    fn the_call_in_the_script_is_json() {
        assert!(serde_json::from_str::<serde_json::Value>(CALL).is_ok());
    }
}
