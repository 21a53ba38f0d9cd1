"""Checked by mypy, never run: every backend's modules satisfy the protocols of ``convbridge.protocol``."""

from __future__ import annotations

import convbridge_mxnet.arrays
import convbridge_mxnet.chapter
import convbridge_mxnet.layers
import convbridge_mxnet.lesson
import convbridge_mxnet.listing
import convbridge_mxnet.ops
import convbridge_numpy.arrays
import convbridge_numpy.chapter
import convbridge_numpy.layers
import convbridge_numpy.lesson
import convbridge_numpy.listing
import convbridge_numpy.ops
import convbridge_tensorflow.arrays
import convbridge_tensorflow.chapter
import convbridge_tensorflow.layers
import convbridge_tensorflow.lesson
import convbridge_tensorflow.listing
import convbridge_tensorflow.ops
import convbridge_torch.arrays
import convbridge_torch.chapter
import convbridge_torch.layers
import convbridge_torch.lesson
import convbridge_torch.listing
import convbridge_torch.ops

from convbridge.protocol import (
    BackendSpec,
    ChapterModule,
    LayersModule,
    LessonModule,
    ListingModule,
    PlannedArraysModule,
    PreparedOpsModule,
)

specs: list[BackendSpec] = [
    convbridge_numpy.SPEC,
    convbridge_torch.SPEC,
    convbridge_tensorflow.SPEC,
    convbridge_mxnet.SPEC,
]

numpy_arrays: PlannedArraysModule = convbridge_numpy.arrays
numpy_ops: PreparedOpsModule = convbridge_numpy.ops
numpy_chapter: ChapterModule = convbridge_numpy.chapter
numpy_layers: LayersModule = convbridge_numpy.layers
numpy_listing: ListingModule = convbridge_numpy.listing
numpy_lesson: LessonModule = convbridge_numpy.lesson

torch_arrays: PlannedArraysModule = convbridge_torch.arrays
torch_ops: PreparedOpsModule = convbridge_torch.ops
torch_chapter: ChapterModule = convbridge_torch.chapter
torch_layers: LayersModule = convbridge_torch.layers
torch_listing: ListingModule = convbridge_torch.listing
torch_lesson: LessonModule = convbridge_torch.lesson

tensorflow_arrays: PlannedArraysModule = convbridge_tensorflow.arrays
tensorflow_ops: PreparedOpsModule = convbridge_tensorflow.ops
tensorflow_chapter: ChapterModule = convbridge_tensorflow.chapter
tensorflow_layers: LayersModule = convbridge_tensorflow.layers
tensorflow_listing: ListingModule = convbridge_tensorflow.listing
tensorflow_lesson: LessonModule = convbridge_tensorflow.lesson

mxnet_arrays: PlannedArraysModule = convbridge_mxnet.arrays
mxnet_ops: PreparedOpsModule = convbridge_mxnet.ops
mxnet_chapter: ChapterModule = convbridge_mxnet.chapter
mxnet_layers: LayersModule = convbridge_mxnet.layers
mxnet_listing: ListingModule = convbridge_mxnet.listing
mxnet_lesson: LessonModule = convbridge_mxnet.lesson
