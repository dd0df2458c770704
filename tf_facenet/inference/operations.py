"""Which operations a SavedModel may hold: those that compute. Files, the network and Python are out of their reach.

An operation that is not listed is refused, whatever it does: a new one of TensorFlow as well as somebody's own. The
lists are what networks of faces export as, those of this package and those of plain Keras layers, and their kin.
"""

_TABLE = {
    "what goes in and out": """
        Placeholder PlaceholderWithDefault Const NoOp Identity IdentityN StopGradient PreventGradient Snapshot""",
    "variables; their values are read from the folder's own variables/ when it is loaded": """
        VarHandleOp ReadVariableOp ResourceGather ResourceGatherNd AssignVariableOp AssignAddVariableOp
        AssignSubVariableOp VarIsInitializedOp VariableShape DestroyResourceOp DisableCopyOnRead""",
    "control flow; what is called is looked at as well": """
        PartitionedCall StatefulPartitionedCall If StatelessIf Case StatelessCase While StatelessWhile Switch
        RefSwitch Merge Enter Exit NextIteration LoopCond ControlTrigger Assert EnsureShape""",
    "arithmetic": """
        Abs Add AddN AddV2 AccumulateNV2 BiasAdd Ceil Cumprod Cumsum CumulativeLogsumexp Div DivNoNan Einsum Exp
        Expm1 Floor FloorDiv FloorMod Inv Log Log1p MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Maximum Minimum
        Mod Mul MulNoNan Neg NextAfter Pow RealDiv Reciprocal Rint Round Rsqrt Sign Sqrt Square SquaredDifference
        Sub TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Cross L2Loss ClipByValue Acos Acosh Asin Asinh Atan Atan2
        Atanh Cos Cosh Sin Sinh Tan Tanh Erf Erfc Erfinv Ndtri Digamma Lgamma Igamma Igammac Betainc Polygamma Zeta""",
    "comparison, logic and bits": """
        ApproximateEqual Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr IsFinite
        IsInf IsNan Select SelectV2 BitwiseAnd BitwiseOr BitwiseXor Invert LeftShift RightShift PopulationCount
        Bitcast Cast CheckNumerics""",
    "sums and the like over axes": """
        All Any ArgMax ArgMin EuclideanNorm Max Mean Min Prod Sum SegmentMax SegmentMaxV2 SegmentMean SegmentMin
        SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum SegmentSumV2 UnsortedSegmentMax UnsortedSegmentMin
        UnsortedSegmentProd UnsortedSegmentSum SparseSegmentMean SparseSegmentSum Bincount DenseBincount Bucketize
        HistogramFixedWidth LogSoftmax Softmax""",
    "shapes and places": """
        BatchToSpace BatchToSpaceND BroadcastArgs BroadcastTo Concat ConcatV2 ConcatOffset DepthToSpace Diag
        DiagPart ExpandDims Fill Gather GatherNd GatherV2 InvertPermutation LinSpace LowerBound MatrixBandPart
        MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag
        MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad OneHot OnesLike Pack Pad PadV2 ParallelConcat
        ParallelDynamicStitch DynamicPartition DynamicStitch Range Rank Reshape Reverse ReverseSequence ReverseV2
        Roll ScatterNd Shape ShapeN Size Slice SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Squeeze
        StridedSlice TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
        TensorStridedSliceUpdate Tile Transpose Unique UniqueV2 UniqueWithCounts Unpack UnravelIndex UpperBound
        Where ZerosLike TopK TopKV2 NthElement InTopK InTopKV2 ListDiff SparseToDense""",
    "convolutions, pooling, normalisation, activations": """
        AvgPool AvgPool3D Conv Conv2D Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropInput
        Conv3DBackpropInputV2 DepthwiseConv2dNative DepthwiseConv2dNativeBackpropInput Dilation2D Elu
        ExtractImagePatches ExtractVolumePatches FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D
        FusedResizeAndPadConv2D LRN LeakyRelu MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Relu Relu6 Selu Sigmoid
        Softplus Softsign""",
    "numbers of fewer bits": """
        Dequantize FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
        QuantizeAndDequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2
        UniformDequantize UniformQuantize""",
    "linear algebra, complex numbers and Fourier transforms": """
        Angle BatchMatrixBandPart Cholesky Complex ComplexAbs Conj ConjugateTranspose FFT FFT2D FFT3D IFFT IFFT2D
        IFFT3D IRFFT IRFFT2D Imag LogMatrixDeterminant MatrixDeterminant MatrixInverse MatrixSolve MatrixSquareRoot
        MatrixTriangularSolve Qr RFFT RFFT2D Real SelfAdjointEigV2 Svd""",
    "random numbers, which stay unused where nothing is trained": """
        RandomUniform RandomUniformInt RandomStandardNormal TruncatedNormal RandomShuffle Multinomial
        StatelessMultinomial StatelessRandomBinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter
        StatelessRandomGetKeyCounterAlg StatelessRandomNormal StatelessRandomNormalV2 StatelessRandomUniform
        StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
        StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal
        StatelessTruncatedNormalV2 RngReadAndSkip RngSkip StatefulUniform StatefulUniformFullInt StatefulUniformInt
        StatefulStandardNormalV2""",
    "lists of tensors, as loops fill them": """
        EmptyTensorList TensorListConcat TensorListConcatV2 TensorListElementShape TensorListFromTensor
        TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
        TensorListResize TensorListScatter TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack
        TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3
        TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3""",
    "images": """
        AdjustContrastv2 AdjustHue AdjustSaturation CropAndResize DecodeAndCropJpeg DecodeBmp DecodeGif DecodeImage
        DecodeJpeg DecodePng DecodeWebP ExtractJpegShape HSVToRGB ImageProjectiveTransformV2
        ImageProjectiveTransformV3 NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4
        NonMaxSuppressionV5 CombinedNonMaxSuppression RGBToHSV ResizeArea ResizeBicubic ResizeBilinear
        ResizeNearestNeighbor ScaleAndTranslate SampleDistortedBoundingBox StatelessSampleDistortedBoundingBox
        DrawBoundingBoxes""",
    "texts, and the bytes of images": """
        AsString DecodeBase64 DecodeRaw EncodeBase64 DecodePaddedRaw RegexFullMatch RegexReplace
        StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams
        StringSplit StringSplitV2 StringStrip StringToHashBucketFast StringToHashBucketStrong StringToNumber
        StringUpper Substr UnicodeDecode ReduceJoin""",
    "rows of tensors one after the other, of which some may fail": """
        BatchDataset BatchDatasetV2 ConcatenateDataset DatasetToSingleElement FilterDataset FlatMapDataset
        IgnoreErrorsDataset MapAndBatchDataset MapDataset ParallelBatchDataset ParallelMapDataset
        ParallelMapDatasetV2 PrefetchDataset RangeDataset ReduceDataset RepeatDataset SkipDataset TakeDataset
        TensorDataset TensorSliceDataset UnbatchDataset ZipDataset""",
}
COMPUTING = frozenset(" ".join(_TABLE.values()).split())
SAVING = frozenset(("SaveV2", "RestoreV2", "ShardedFilename", "MergeV2Checkpoints"))


def check(saved):
    """Look at all operations of a SavedModel before anything of it runs.

    TensorFlow runs functions that its objects name (signatures, initialisers, what restores an object) and functions
    that those call, never the graph around them. `SAVING` may only be in functions that this graph alone calls: it is
    how TensorFlow writes variables and reads them, here by itself from variables/. All else may hold only `COMPUTING`.

    Args:
        saved: `SavedModel` protocol buffer.

    Raises:
        ValueError: it holds another operation; or it has the form of TensorFlow 1, whose graph runs when it is loaded.
    """
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].HasField("object_graph_def"):
        raise ValueError("has the form of TensorFlow 1 or several graphs")
    meta, = saved.meta_graphs
    functions = {function.signature.name: function.node_def for function in meta.graph_def.library.function}
    never_run = _reached(_called(meta.graph_def.node), functions) - _reached(_named(meta.object_graph_def), functions)
    for name, nodes in [("", meta.graph_def.node), *functions.items()]:
        allowed = COMPUTING | SAVING if name in never_run else COMPUTING
        other = next((node for node in nodes if node.op not in allowed), None)
        if other is not None:
            where = f" of the function {name}" if name else ""
            raise ValueError(f"holds the operation {other.op:.60} (node {other.name:.60}{where:.80}), which no "
                             "network of faces needs")


def _named(objects):
    """Names of all functions that the objects of a SavedModel speak of."""
    names = set(objects.concrete_functions)
    for node in objects.nodes:
        names.update(node.function.concrete_functions)
        names.update((node.bare_concrete_function.concrete_function_name, node.captured_tensor.concrete_function))
    return names


def _reached(names, functions):
    """Those functions, and all that they call."""
    reached, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name in functions and name not in reached:
            reached.add(name)
            waiting += _called(functions[name])
    return reached


def _called(nodes):
    """Yields the names of functions in attributes of nodes, and in the attributes of those."""
    for value in (value for node in nodes for value in node.attr.values()):
        called = [function for function in (value.func, *value.list.func) if function.name]
        yield from (function.name for function in called)
        yield from _called(called)
