#!/bin/sh
# Prints what tests/real_clients.rs saw: a table, and under it what the clients showed their users.
set -eu
cd "$(dirname "$0")/../.."
folder="${CARGO_TARGET_DIR:-target}/tmp/dialects"

sort "$folder"/*.tsv | awk -F '\t' '
    BEGIN {
        count = split("connect list call progress cancel refused expired rate restart reconnect leave", steps, " ")
        printf "%-15s %-12s", "client", "dialect"
        for (i = 1; i <= count; i++) printf " %-12s", steps[i]
        print ""
    }
    {
        row = $1 "\t" $2
        if (!(row in known)) { known[row] = 1; rows[++height] = row }
        word[row, $3] = $4
        if ($5 != "") shown[row, $3] = $5
    }
    END {
        for (r = 1; r <= height; r++) {
            split(rows[r], name, "\t")
            printf "%-15s %-12s", name[1], name[2]
            for (i = 1; i <= count; i++)
                printf " %-12s", (rows[r], steps[i]) in word ? word[rows[r], steps[i]] : "-"
            print ""
        }
        for (r = 1; r <= height; r++) {
            split(rows[r], name, "\t")
            for (i = 1; i <= count; i++)
                if ((rows[r], steps[i]) in shown)
                    printf "\n%s on %s, %s:\n    %s\n", name[1], name[2], steps[i], shown[rows[r], steps[i]]
        }
    }'
