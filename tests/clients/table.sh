#!/bin/sh
# Prints what tests/real_clients.rs saw: a table for each story, and what the clients showed their users.
set -eu
cd "$(dirname "$0")/../.."
folder="${CARGO_TARGET_DIR:-target}/tmp/dialects"

sort "$folder"/*.tsv | awk -F '\t' '
    BEGIN {
        story[1] = "connect list call progress cancel refused expired rate restart reconnect leave"
        story[2] = "listed unknown goes-on batch session anew"
    }
    {
        row = $1 "\t" $2
        if (!(row in known)) { known[row] = 1; rows[++height] = row }
        word[row, $3] = $4
        if ($5 != "") shown[row, $3] = $5
    }
    function print_line(client, dialect) {
        printf "%-15s %-12s", client, dialect
        for (i = 1; i <= count; i++) printf " %-12s", cell[i]
        print ""
    }
    END {
        for (s = 1; s in story; s++) {
            if (s > 1) print ""
            count = split(story[s], steps, " ")
            for (i = 1; i <= count; i++) cell[i] = steps[i]
            print_line("client", "dialect")
            for (r = 1; r <= height; r++) {
                if (!((rows[r], steps[1]) in word)) continue
                split(rows[r], name, "\t")
                for (i = 1; i <= count; i++)
                    cell[i] = (rows[r], steps[i]) in word ? word[rows[r], steps[i]] : "-"
                print_line(name[1], name[2])
            }
        }
        for (r = 1; r <= height; r++) {
            split(rows[r], name, "\t")
            for (s = 1; s in story; s++) {
                count = split(story[s], steps, " ")
                for (i = 1; i <= count; i++)
                    if ((rows[r], steps[i]) in shown)
                        printf "\n%s on %s, %s:\n    %s\n", name[1], name[2], steps[i], shown[rows[r], steps[i]]
            }
        }
    }'
