"""Reads Croissant metadata by mlcroissant, and prints its content as JSON.

The validators' Python runs it.

usage: check_croissant.py FILE
"""

import json
import sys

import mlcroissant


def main(path):
    try:
        dataset = mlcroissant.Dataset(path)
    except mlcroissant.ValidationError as error:
        print(error)
        return 1
    metadata = dataset.metadata
    files = [one for one in metadata.distribution if isinstance(one, mlcroissant.FileObject)]
    (rows,) = metadata.record_sets
    content = {
        "name": metadata.name,
        "sha256": {file.content_url: file.sha256 for file in files},
        "fields": {
            field.name: [str(field.data_types[0]), field.array_shape] for field in rows.fields
        },
    }
    print(json.dumps(content))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
