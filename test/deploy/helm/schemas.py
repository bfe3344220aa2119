"""Takes the JSON schemas of some Kubernetes kinds out of the wheel of kubernetes-validate, each complete in itself.

python3 schemas.py <wheel> <folder> <version>... writes <folder>/<kind>-v<version>.json. The wheel's schemas refer to
definitions by URLs, which kubeconform would download.
"""

import json
import sys
import zipfile

KINDS = {
    "deployment": "deployment-apps-v1",
    "horizontalpodautoscaler": "horizontalpodautoscaler-autoscaling-v2",
    "ingress": "ingress-networking-v1",
    "job": "job-batch-v1",
    "networkpolicy": "networkpolicy-networking-v1",
    "poddisruptionbudget": "poddisruptionbudget-policy-v1",
    "service": "service-v1",
    "serviceaccount": "serviceaccount-v1",
}
EXTERNAL = "/api/_definitions.json#/$defs/"


def localized(node):
    """Returns the schema with references into itself."""
    if isinstance(node, list):
        return [localized(one) for one in node]
    if not isinstance(node, dict):
        return node
    node = {name: localized(value) for name, value in node.items()}
    # A schema may describe a property of that name.
    if isinstance(node.get("$ref"), str):
        node["$ref"] = node["$ref"].replace(EXTERNAL, "#/$defs/")
    if isinstance(node.get("$id"), str):
        del node["$id"]
    return node


def main(wheel, folder, *versions):
    with zipfile.ZipFile(wheel) as archive:
        for version in versions:
            source = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict"
            read = lambda name: localized(json.loads(archive.read(f"{source}/{name}.json")))
            definitions = read("_definitions")["$defs"]
            for kind, name in KINDS.items():
                path = f"{folder}/{kind}-v{version}.json"
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(read(name) | {"$defs": definitions}, file)


main(*sys.argv[1:])
