"""What the suites over the house's lists use of other folders' tests: models, examples, servers, stores."""

from tests.generate.conftest import behind as behind
from tests.generate.conftest import peer as peer
from tests.train.conftest import base as base
from tests.train.conftest import examples as examples
from tests.train.conftest import make_job as make_job
from tests.train.conftest import pairs as pairs
from tests.train.conftest import rollouts as rollouts
from tests.train.conftest import soft_pairs as soft_pairs
from tests.train.conftest import softened as softened
from tests.train.conftest import teacher as teacher
from tests.warehouse.stores.conftest import address as address
from tests.warehouse.stores.conftest import running as running
from tests.warehouse.stores.conftest import server as server
from tests.warehouse.stores.conftest import store as store
from tests.warehouse.stores.conftest import where as where
