"""Reads SLSA provenance by the messages of in-toto-attestation; run by the validators' Python.

usage: check_statement.py FILE

A key that the standards do not define is an error, and so is a malformed digest.
"""

import json
import sys

from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement


def main(path):
    with open(path) as file:
        content = json.load(file)
    try:
        statement = Statement.copy_from_pb(ParseDict(content, Statement([], "", {}).pb))
        statement.validate()
        predicate = ParseDict(content["predicate"], provenance_pb2.Provenance())
        resources = predicate.build_definition.resolved_dependencies
        for resource in (*resources, *predicate.run_details.byproducts):
            ResourceDescriptor.copy_from_pb(resource).validate()
    except (ParseError, ValueError) as error:
        print(error)
        return 1
    print(json.dumps({"subjects": len(statement.pb.subject), "dependencies": len(resources)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
