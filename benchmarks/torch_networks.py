"""IResNet and mbf in plain PyTorch, from their tables: what the backbones are measured beside."""

from torch import nn

DEPTHS = {"iresnet18": (2, 2, 2, 2), "iresnet34": (3, 4, 6, 3), "iresnet50": (3, 4, 14, 3),
          "iresnet100": (3, 13, 30, 3), "iresnet200": (6, 26, 60, 6)}


class Sum(nn.Module):
    """The sum of two ways."""

    def __init__(self, long, short):
        super().__init__()
        self.long, self.short = long, short

    def forward(self, x):
        """long(x) + short(x)."""
        return self.long(x) + self.short(x)


def conv(inputs, outputs, kernel, stride=1, groups=1, padding=None):
    padding = kernel // 2 if padding is None else padding
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)


def conv_norm(*args, activation=True, **kwargs):
    convolution = conv(*args, **kwargs)
    channels = convolution.out_channels
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.PReLU(channels) if activation else nn.Identity())


def iresnet(depths, embedding_size):
    """The network for 112 × 112 pixels."""
    modules, inputs = [conv_norm(3, 64, 3)], 64
    for filters, depth in zip((64, 128, 256, 512), depths, strict=True):
        for index in range(depth):
            stride = 1 if index else 2
            long = nn.Sequential(nn.BatchNorm2d(inputs), conv_norm(inputs, filters, 3),
                                 conv_norm(filters, filters, 3, stride, activation=False))
            short = nn.Identity() if index else conv_norm(inputs, filters, 1, stride, activation=False)
            modules.append(Sum(long, short))
            inputs = filters
    return nn.Sequential(*modules, nn.BatchNorm2d(inputs), nn.Flatten(), nn.Linear(inputs * 49, embedding_size),
                         nn.BatchNorm1d(embedding_size))


def bottleneck(inputs, inside, outputs, stride):
    way = nn.Sequential(conv_norm(inputs, inside, 1), conv_norm(inside, inside, 3, stride, groups=inside),
                        conv_norm(inside, outputs, 1, activation=False))
    return way if stride > 1 else Sum(way, nn.Identity())


def mobilefacenet(start, stages, embedding_size):
    """A MobileFaceNet for 112 × 112 pixels; `start`: channels and groups; `stages`: arguments of bottlenecks."""
    channels, groups = start
    return nn.Sequential(
        conv_norm(3, channels, 3, 2), conv_norm(channels, channels, 3, groups=groups),
        *(bottleneck(*stage) for stage in stages), conv_norm(stages[-1][2], 512, 1),
        conv_norm(512, 512, 7, groups=512, padding=0, activation=False), nn.Flatten(),
        nn.Linear(512, embedding_size, bias=False), nn.BatchNorm1d(embedding_size))


MBF = ((128, 128, 128, 2), *4 * ((128, 128, 128, 1),), (128, 256, 256, 2), *6 * ((256, 256, 256, 1),),
       (256, 512, 256, 2), *2 * ((256, 256, 256, 1),))
CLASSIC = ((64, 128, 64, 2), *4 * ((64, 128, 64, 1),), (64, 256, 128, 2), *6 * ((128, 256, 128, 1),),
           (128, 512, 128, 2), *2 * ((128, 256, 128, 1),))


def create(name, embedding_size):
    """The network of this name."""
    if name in DEPTHS:
        return iresnet(DEPTHS[name], embedding_size)
    start, stages = {"mbf": ((128, 64), MBF), "mobilefacenet": ((64, 64), CLASSIC)}[name]
    return mobilefacenet(start, stages, embedding_size)
