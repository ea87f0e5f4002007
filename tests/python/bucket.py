"""Runs a program whose results lie in a bucket, and tells what became of them.

    bucket.py PROGRAM ARGUMENT ..

Starts an S3 server on a free port of the loopback with the bucket `results`.
The program is run twice. The last line on standard output is a JSON object with
the lines of both runs and the keys in the bucket.
"""

import json
import os
import subprocess
import sys

import boto3
from moto.server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def main():
    os.environ.update(CREDENTIALS)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="results")
    more = {
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "FLOW_TEST_STORE": "s3://results/nightly",
    }
    runs = [
        subprocess.run(
            sys.argv[1:],
            env=os.environ | more,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout.splitlines()
        for _ in range(2)
    ]
    keys = [found["Key"] for found in client.list_objects_v2(Bucket="results")["Contents"]]
    server.stop()
    print(json.dumps({"runs": runs, "keys": keys}))


main()
