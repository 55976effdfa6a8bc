#!/usr/bin/env python3
"""Drives a server with the unmodified Run:ai client package, as its users do.

Usage: runapy_clients.py BASE_URL APPLICATION SECRET [CA_FILE]

Prints OK, or fails with a traceback that names what did not hold. Makes one cluster and deletes it again.
"""

import sys
import uuid

from runai import models
from runai.api_client import ApiClient
from runai.configuration import Configuration
from runai.exceptions import ApiException
from runai.runai_client import RunaiClient


def expect(holds, what):
    """Fails with `what` unless `holds`; unlike `assert`, also under `python -O`."""
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def refused(status, call, *arguments, **options):
    """Expects an API error of `status` in the error envelope."""
    try:
        call(*arguments, **options)
    except ApiException as error:
        expect(error.status == status, f"status {error.status} instead of {status}: {error.data}")
        expect(error.data["code"] == status and error.data["message"], f"no envelope: {error.data}")
        return error.data
    raise SystemExit(f"FAILED: {call.__name__} succeeded instead of answering {status}")


def client(base_url, name, secret, ca_file):
    options = {"ssl_ca_cert": ca_file} if ca_file else {}
    return RunaiClient(ApiClient(Configuration(
        client_id=name, client_secret=secret, runai_base_url=base_url, **options)))


def check_wrong_secret(base_url, name, ca_file):
    try:
        client(base_url, name, "not-the-secret", ca_file)
    except ValueError:
        return
    raise SystemExit("FAILED: a wrong secret signed in")


def check_clusters(clusters, nodes):
    name = f"runapy-{uuid.uuid4()}"
    made = clusters.create_cluster(models.ClusterCreationRequest(name=name, domain="https://runapy.example"))
    expect(made.status_code == 201, f"create answered {made.status_code}")
    cluster = made.data["uuid"]
    models.DisplayedCluster.from_dict(made.data)
    try:
        expect(made.data["status"]["state"] == "WaitingToConnect", f"state of a new cluster: {made.data}")
        duplicate = refused(409, clusters.create_cluster, models.ClusterCreationRequest(name=name))
        expect("already exists" in duplicate["message"], f"wording: {duplicate}")
        check_lists(clusters, cluster)
        check_rename(clusters, cluster, f"{name}-renamed")
        check_nodes(nodes, cluster)
    finally:
        gone = clusters.delete_cluster(cluster)
    expect(gone.status_code == 204 and gone.data is None, f"delete answered {gone.status_code} {gone.data}")
    refused(404, clusters.get_cluster_by_uuid, cluster)
    refused(404, clusters.delete_cluster, cluster)
    refused(400, clusters.get_cluster_by_uuid, "no-uuid")


def check_lists(clusters, cluster):
    for verbosity in (None, "full", "metadata"):
        listed = clusters.get_clusters(verbosity=verbosity).data
        found = [one for one in listed if one["uuid"] == cluster]
        expect(len(found) == 1, f"{cluster} is listed {len(found)} times")
        expect(("status" in found[0]) == (verbosity != "metadata"), f"verbosity {verbosity}: {found[0]}")
        models.DisplayedCluster.from_dict(found[0])
    refused(400, clusters.get_clusters, verbosity="chatty")


def check_rename(clusters, cluster, name):
    for _ in range(2):
        renamed = clusters.update_cluster(cluster, models.ClusterUpdateRequest(name=name))
        expect(renamed.status_code == 204, f"rename answered {renamed.status_code}")
    got = clusters.get_cluster_by_uuid(cluster).data
    expect(got["name"] == name, f"name after renaming: {got}")


def check_nodes(nodes, cluster):
    expect(nodes.get_nodes(cluster).data == {"nodes": []}, "a new cluster has nodes")
    expect(nodes.count_nodes(cluster).data == {"count": 0}, "a new cluster counts nodes")
    everywhere = nodes.get_tenant_nodes(sort_by=models.NodeFilterSortFields.NAME, sort_order="desc", limit=500).data
    models.Nodes.from_dict(everywhere)
    names = [node["name"] for node in everywhere["nodes"]]
    expect(names == sorted(names, reverse=True), f"order: {names}")
    counted = nodes.count_tenant_nodes(filter_by=[]).data["count"]
    expect(isinstance(counted, int) and counted >= len(names), f"count: {counted} of {len(names)}")
    here = nodes.count_tenant_nodes(filter_by=[f"clusterUuid=={cluster}", "name!@,"]).data
    expect(here == {"count": 0}, f"filtered count: {here}")
    refused(400, nodes.get_tenant_nodes, limit=501)
    refused(404, nodes.get_nodes, str(uuid.uuid4()))


def main(base_url, name, secret, ca_file=None):
    check_wrong_secret(base_url, name, ca_file)
    runai = client(base_url, name, secret, ca_file)
    check_clusters(runai.organizations.clusters, runai.organizations.nodes)
    print("OK")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
