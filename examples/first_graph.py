"""Two units and a stream, where their cycles go, and a deadlock."""

import rdu

b = rdu.Builder()
b.unit("src", firings=1000, ii=1, latency=2)
b.unit("mac", firings=1000, ii=[1, 3], latency=6)
b.stream("src", "mac", capacity=16, latency=3, credit=1)
print(b.build().run())

b.stream("mac", "src", initial=0)  # src now waits for mac, which waits for src
try:
    b.build().run()
except rdu.errors.DeadlockError as error:
    print(error)
