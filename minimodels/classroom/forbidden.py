"""Names that a lab's FORBIDDEN has in common with others': all of torch that holds an answer."""

TORCH_ATTENTION = [
    "torch.nn.attention",
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.multi_head_attention_forward",
    "torch.nn.MultiheadAttention",
    "torch.nn.modules.activation.MultiheadAttention",
    "torch.nn.modules.transformer.MultiheadAttention",
    "torch._C._nn.scaled_dot_product_attention",
    "torch._native_multi_head_attention",
    "torch._scaled_dot_product_attention_math",
    "torch._scaled_dot_product_flash_attention_for_cpu",
    "torch._scaled_dot_product_flash_attention",
    "torch._scaled_dot_product_efficient_attention",
    "torch._scaled_dot_product_cudnn_attention",
    "torch._higher_order_ops.flex_attention",
    "torch.ao.nn.quantizable",
]
TORCH_RMS_NORM = [
    "torch.rms_norm",
    "torch._fused_rms_norm",
    "torch.nn.functional.rms_norm",
    "torch.nn.RMSNorm",
    "torch.nn.modules.RMSNorm",
    "torch.nn.modules.normalization.RMSNorm",
]
