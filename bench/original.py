"""The loop of docker-event-scripts 0.1.3, written anew: `original.py SOCKET DIR`. It needs Debian's python3-docker."""
import json
import logging
import os
import subprocess
import sys

import docker

logging.basicConfig(format="%(asctime)s - %(name)s - %(levelname)s - %(message)s", level=logging.INFO)
log = logging.getLogger("docker-event-script")


def flatten(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, path + (key,))
    else:
        yield "_".join(path).upper(), str(value)


def scripts_for(directory, event):
    folder = os.path.join(directory, event["Type"])
    name = event["Action"].split(":")[0]
    return [os.path.join(folder, found) for found in os.listdir(folder) if found == name]


def handle(script, event):
    log.info("Running script %s", script)
    environment = dict(os.environ, **dict(flatten(event)))
    process = subprocess.Popen(
        script, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, message = process.communicate(json.dumps(event).encode())
    if process.returncode != 0:
        log.error("Script %s Failed! Exit=%d Message=%r", script, process.returncode, message)


socket, directory = sys.argv[1:]
for event in docker.DockerClient(base_url=f"unix://{socket}", version="1.41").events(decode=True):
    for script in scripts_for(directory, event):
        handle(script, event)
