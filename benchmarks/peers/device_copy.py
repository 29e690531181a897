"""A copy within the device's memory of as many bytes as a kernel has to move: what bandwidth can
be had."""

from symnet.backends.gpu import devices

from ..cases import kernels


class Kernels:
    """Reads half of the bytes and writes half."""

    against = "copied"

    def __init__(self, device: str, precision: str = "highest", **parameters: object):
        self.device = devices.device(device)
        self.size = kernels.traffic(**parameters) // 2
        self.source, self.target = (self.device.allocate(self.size) for _ in range(2))
        self.device.put(self.source.address, kernels.pattern(self.size))
        self.device.clear(self.target.address, self.size)

    def check(self) -> list[float]:
        self.run(1)
        result = kernels.pattern(self.size)
        result[:] = 0
        self.device.get(result, self.target.address)
        return kernels.summary(result)

    def run(self, iterations: int) -> None:
        copy = self.device.copy
        target, source, size = self.target.address, self.source.address, self.size
        for _ in range(iterations):
            copy(target, source, size)
        self.device.wait()


PROGRAMS = {"kernels": Kernels}
