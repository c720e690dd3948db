# Sourced in jobs on H100 and H200: settings of CUDA, NCCL and PyTorch, each with its reason. What you export yourself
# before sbatch is kept. The usual thing to add is the network: NCCL_SOCKET_IFNAME where NCCL picks a wrong interface to
# meet at, NCCL_IB_HCA where some InfiniBand ports of a node are not for computing.

# One hardware queue: kernels start in the order of their launch, so that communication gets its turn beside the products
# that it is to overlap with. Megatron-core needs it for tensor and context parallelism before Blackwell.
export CUDA_DEVICE_MAX_CONNECTIONS=${CUDA_DEVICE_MAX_CONNECTIONS:-1}

# Rows and phases of different lengths fragment the memory of a GPU; segments that can grow avoid out-of-memory errors
# with gigabytes free. (PyTorch before 2.9 knows the second name only.)
export PYTORCH_ALLOC_CONF=${PYTORCH_ALLOC_CONF:-expandable_segments:True}
export PYTORCH_CUDA_ALLOC_CONF=${PYTORCH_CUDA_ALLOC_CONF:-$PYTORCH_ALLOC_CONF}

# LayerNorm kernels of Transformer Engine leave 16 of the 132 multiprocessors to communication that runs at their side.
export NVTE_FWD_LAYERNORM_SM_MARGIN=${NVTE_FWD_LAYERNORM_SM_MARGIN:-16}
export NVTE_BWD_LAYERNORM_SM_MARGIN=${NVTE_BWD_LAYERNORM_SM_MARGIN:-16}

# NCCL says what went wrong, and nothing else.
export NCCL_DEBUG=${NCCL_DEBUG:-WARN}

# The last collectives of every rank are remembered, and written down when one times out: that shows which rank was not
# there. Costs nothing that can be measured.
export TORCH_FR_BUFFER_SIZE=${TORCH_FR_BUFFER_SIZE:-2000}
export TORCH_NCCL_DUMP_ON_TIMEOUT=${TORCH_NCCL_DUMP_ON_TIMEOUT:-1}

# A flaky cable costs a resend and not the run: about 30 s of trying before a connection counts as broken.
export NCCL_IB_TIMEOUT=${NCCL_IB_TIMEOUT:-22}
