#!/bin/bash

# As run_all_models.sh, on the natural images only.
#
#   bash run_all_models_backimage.sh 2>&1 | tee run_all_models_backimage.log
#
# Every model gets its own folder under $CHECKPOINT_DIR. After a failure the script asks
# whether to go on with the next one.

# ------------------------------------------------------------------
# environment
# ------------------------------------------------------------------
source ~/miniconda3/etc/profile.d/conda.sh
conda activate yatesfv

export CUDA_VISIBLE_DEVICES=0,1
export NCCL_DEBUG=WARN
export PYTHONPATH="${PYTHONPATH}:$(pwd)"

# the two cards do not see each other over PCIe
export NCCL_SOCKET_IFNAME=lo
export NCCL_P2P_DISABLE=1
export TORCH_NCCL_ASYNC_ERROR_HANDLING=1

# triton wants libcuda.so, the driver only brings libcuda.so.1
mkdir -p "$HOME/.local/lib/cuda"
ln -s /usr/lib/x86_64-linux-gnu/libcuda.so.1 "$HOME/.local/lib/cuda/libcuda.so"
export LIBRARY_PATH="$HOME/.local/lib/cuda:$LIBRARY_PATH"
export LD_LIBRARY_PATH="$HOME/.local/lib/cuda:$LD_LIBRARY_PATH"

# debugging
export PYTHONFAULTHANDLER=1
export CUDA_LAUNCH_BLOCKING=1
export TORCH_SHOW_CPP_STACKTRACES=1
export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True

# ------------------------------------------------------------------
# hyper-parameters
# ------------------------------------------------------------------
# data
BATCH_SIZE=256
MAX_DATASETS=30
DATASET_CONFIGS_PATH="configs/dataset_120_backimage"

# optimiser
LEARNING_RATE=1e-3
CORE_LR_SCALE=0.5
LR_SCHEDULER="cosine_warmup"
WARMUP_EPOCHS=5
WEIGHT_DECAY=1e-4
MAX_EPOCHS=100
GRADIENT_CLIP_VAL=1.0
EARLY_STOPPING_PATIENCE=50

# machine
PRECISION="bf16-mixed"
NUM_GPUS=2
NUM_WORKERS=16
STEPS_PER_EPOCH=512

# bookkeeping
PROJECT_NAME="multidataset_backimage_120"
CHECKPOINT_DIR="/mnt/ssd/YatesMarmoV1/checkpoints/${PROJECT_NAME}"
mkdir -p "$CHECKPOINT_DIR"

# ------------------------------------------------------------------
# models
# ------------------------------------------------------------------
MODEL_CONFIGS=(
    "configs/learned_res_small.yaml"
    # "configs/learned_res_small_gru.yaml"
    "configs/backimage/learned_res_small_gru.yaml"
    # "configs/learned_res_small_film.yaml"
    # "configs/learned_res_small_stn.yaml"
    "configs/dense_concat.yaml"
    "configs/modulator_only_convgru.yaml"
)

# ------------------------------------------------------------------
# one model
# ------------------------------------------------------------------
run_training() {
    local config="$1"
    local config_name
    config_name=$(basename "$config" .yaml)

    local EXPERIMENT_NAME="${config_name}_ddp_bs${BATCH_SIZE}_ds${MAX_DATASETS}_lr${LEARNING_RATE}_wd${WEIGHT_DECAY}_corelrscale${CORE_LR_SCALE}_warmup${WARMUP_EPOCHS}"

    echo "=================================================================="
    echo "model      : $config_name"
    echo "experiment : $EXPERIMENT_NAME"
    echo "started    : $(date)"
    echo "=================================================================="

    if [ ! -f "$config" ]; then
        echo "no such config: $config"
        return 1
    fi

    # debug on both GPUs, no workers
    # python train_ddp_multidataset.py \
    #     --model_config "$config" \
    #     --dataset_configs_path "$DATASET_CONFIGS_PATH" \
    #     --max_datasets 2 \
    #     --batch_size 8 \
    #     --learning_rate $LEARNING_RATE \
    #     --precision 32 \
    #     --num_gpus 2 \
    #     --num_workers 0 \
    #     --steps_per_epoch 10 \
    #     --project_name debug2gpu \
    #     --experiment_name "$EXPERIMENT_NAME" \
    #     --checkpoint_dir "$CHECKPOINT_DIR" \

    python train_ddp_multidataset.py \
        --model_config "$config" \
        --dataset_configs_path "$DATASET_CONFIGS_PATH" \
        --max_datasets $MAX_DATASETS \
        --batch_size $BATCH_SIZE \
        --learning_rate $LEARNING_RATE \
        --core_lr_scale $CORE_LR_SCALE \
        --lr_scheduler "$LR_SCHEDULER" \
        --warmup_epochs $WARMUP_EPOCHS \
        --weight_decay $WEIGHT_DECAY \
        --max_epochs $MAX_EPOCHS \
        --precision "$PRECISION" \
        --num_gpus $NUM_GPUS \
        --project_name "$PROJECT_NAME" \
        --experiment_name "$EXPERIMENT_NAME" \
        --checkpoint_dir "$CHECKPOINT_DIR" \
        --accumulate_grad_batches 1 \
        --gradient_clip_val $GRADIENT_CLIP_VAL \
        --steps_per_epoch $STEPS_PER_EPOCH \
        --num_workers $NUM_WORKERS \
        --early_stopping_patience $EARLY_STOPPING_PATIENCE \
        --early_stopping_min_delta 0.0
        # --compile
        # --enable_curriculum
        # --limit_val_batches 20

    local exit_code=$?
    if [ $exit_code -eq 0 ]; then
        echo "done: $EXPERIMENT_NAME ($(date))"
    else
        echo "FAILED: $EXPERIMENT_NAME, exit code $exit_code ($(date))"
    fi
    return $exit_code
}

# ------------------------------------------------------------------
# all of them
# ------------------------------------------------------------------
total=${#MODEL_CONFIGS[@]}
ok=0
failed=()
count=0

echo "training $total models"
echo "  project     : $PROJECT_NAME"
echo "  checkpoints : $CHECKPOINT_DIR"
echo "  batch size  : $BATCH_SIZE x $NUM_GPUS GPUs"
echo ""

for config in "${MODEL_CONFIGS[@]}"; do
    count=$((count + 1))
    echo ""
    echo "[$count/$total] $config"

    run_training "$config"
    code=$?

    if [ $code -eq 0 ]; then
        ok=$((ok + 1))
    else
        failed+=("$config")
        if [ $count -lt $total ]; then
            read -p "go on with the next model? (y/n) " -n 1 -r
            echo ""
            if [[ ! $REPLY =~ ^[Yy]$ ]]; then
                echo "stopped by the user"
                break
            fi
        fi
    fi

    # let NCCL give its ports back
    sleep 10
done

# ------------------------------------------------------------------
# summary
# ------------------------------------------------------------------
echo ""
echo "=================================================================="
echo "trained $ok of $total models"
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed:"
    for config in "${failed[@]}"; do
        echo "  $config"
    done
    echo "see the log, or run one by hand with train_ddp_multidataset.py --help"
fi
echo "checkpoints are in $CHECKPOINT_DIR"
echo "=================================================================="

if [ ${#failed[@]} -gt 0 ]; then
    exit 1
fi
exit 0
