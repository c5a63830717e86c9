"""What the peers are told by the benchmark."""

import os

DATABASE_URL = os.environ["PEER_DATABASE_URL"]
KEY = os.environ["PEER_KEY"]
SITES_DOMAIN = "localhost:8080"
PER_PAGE = 20
