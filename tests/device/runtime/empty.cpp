// Libraries that LibTorch's CUDA part names and this project does not use: libcufile, libcusparseLt, libnvshmem_host.
