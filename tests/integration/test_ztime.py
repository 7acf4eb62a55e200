import time, resource
from dualwrite.stages import Store
from dualwrite.stores import dedicated
def test_time(stores):
    for _ in range(3):
        t=time.perf_counter(); c=time.process_time()
        for _ in range(40):
            with dedicated(Store.SCREENER, "t"): pass
        print("CONNECT ms", (time.perf_counter()-t)/40*1000, "cpu", (time.process_time()-c)/40*1000)
