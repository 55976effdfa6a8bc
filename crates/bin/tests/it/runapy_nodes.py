#!/usr/bin/env python3
"""Prints the nodes of one cluster, as the unmodified Run:ai client package sees them.

Usage: runapy_nodes.py BASE_URL APPLICATION SECRET CLUSTER [CA_FILE]

Prints one JSON list: of each node its name, status and pool, as read through the client's own models.
"""

import json
import sys

from runai import models
from runai.api_client import ApiClient
from runai.configuration import Configuration
from runai.runai_client import RunaiClient


def main(base_url, application, secret, name, ca_file=None):
    options = {"ssl_ca_cert": ca_file} if ca_file else {}
    runai = RunaiClient(ApiClient(Configuration(
        client_id=application, client_secret=secret, runai_base_url=base_url, **options)))
    clusters = runai.organizations.clusters.get_clusters().data
    ids = [cluster["uuid"] for cluster in clusters if cluster["name"] == name]
    if len(ids) != 1:
        raise SystemExit(f"FAILED: {name} is listed {len(ids)} times")
    nodes = models.Nodes.from_dict(runai.organizations.nodes.get_nodes(ids[0]).data).nodes
    count = runai.organizations.nodes.count_nodes(ids[0]).data["count"]
    if count != len(nodes):
        raise SystemExit(f"FAILED: {count} nodes are counted and {len(nodes)} listed")
    print(json.dumps([
        {"name": node.name, "status": node.status, "pool": node.node_pool} for node in nodes]))


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
