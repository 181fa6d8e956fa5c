#!/bin/bash

# Two stages:
#
#   1. train the vision model PRETRAINED_MODEL_TYPE from scratch (the baseline), if it is
#      among MODEL_CONFIGS
#   2. take adapters, frontend and convnet of its best checkpoint and train all the other
#      models on top of them, with the vision part frozen or not
#
#   bash run_all_models_pretraining.sh 2>&1 | tee pretraining.log

# ------------------------------------------------------------------
# environment
# ------------------------------------------------------------------
source ~/miniconda3/etc/profile.d/conda.sh
conda activate yatesfv
# conda activate yatesfv-tejas

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
DATASET_CONFIGS_PATH="configs/dataset_120"
# DATASET_CONFIGS_PATH="configs/dataset_30"

# optimiser
LEARNING_RATE=1e-3
CORE_LR_SCALE=0.5
LR_SCHEDULER="cosine_warmup"
WARMUP_EPOCHS=5
WEIGHT_DECAY=1e-4
MAX_EPOCHS=200
GRADIENT_CLIP_VAL=1.0
EARLY_STOPPING_PATIENCE=50
BASELINE_PATIENCE=40

# machine
PRECISION="bf16-mixed"
NUM_GPUS=2
NUM_WORKERS=16
STEPS_PER_EPOCH=512
ENABLE_COMPILE=true

# pretraining
PRETRAINED_MODEL_TYPE="learned_res_small"
# PRETRAINED_MODEL_TYPE="learned_res_small_30"
FREEZE_VISION=true

# bookkeeping
PROJECT_NAME="multidataset_pretraining_120"
# PROJECT_NAME="multidataset_pretraining_30"
# CHECKPOINT_DIR="/mnt/ssd/YatesMarmoV1/checkpoints/multidataset_pretraining_120"
CHECKPOINT_DIR="/mnt/ssd/YatesMarmoV1/checkpoints/${PROJECT_NAME}"
# the baseline's checkpoints, usually the same place
PRETRAINED_CHECKPOINT_DIR="$CHECKPOINT_DIR"
mkdir -p "$CHECKPOINT_DIR"

# ------------------------------------------------------------------
# models
# ------------------------------------------------------------------
MODEL_CONFIGS=(
    "configs/learned_res_small.yaml"             # the vision model itself
    "configs/learned_res_small_gru.yaml"
    # "configs/learned_res_small_film.yaml"
    # "configs/learned_res_small_pc.yaml"
    "configs/dense_concat.yaml"
)

# ------------------------------------------------------------------
# helpers
# ------------------------------------------------------------------

# is this config the vision model that the others start from?
config_matches_pretrained_type() {
    local config="$1"
    local config_name
    config_name=$(basename "$config" .yaml)
    if [ "$config_name" == "$PRETRAINED_MODEL_TYPE" ]; then
        return 0
    fi
    return 1
}

# prints the path of the best checkpoint of a model type
find_pretrained_checkpoint() {
    local model_type="$1"
    local output
    local path

    # prints lines like
    #   Model: learned_res_small
    #   Path: /mnt/ssd/.../epoch=31-val_bps_overall=0.4321.ckpt
    output=$(python find_best_checkpoint.py \
        --checkpoint_dir "$PRETRAINED_CHECKPOINT_DIR" \
        --model_type "$model_type" 2>/dev/null)

    path=$(echo "$output" | grep "Path:" | head -n 1 | cut -d ":" -f 2 | tr -d " ")

    if [ -z "$path" ]; then
        echo "no checkpoint of type $model_type in $PRETRAINED_CHECKPOINT_DIR" >&2
        exit 1
    fi
    if [ ! -f "$path" ]; then
        echo "checkpoint does not exist: $path" >&2
        exit 1
    fi
    echo "$path"
}

print_header() {
    echo "=================================================================="
    echo "$1"
    echo "  experiment : $2"
    echo "  started    : $(date)"
    echo "=================================================================="
}

# ------------------------------------------------------------------
# stage 2: on top of a pretrained vision model
# ------------------------------------------------------------------
run_training() {
    local config="$1"
    local checkpoint="$2"
    local config_name
    config_name=$(basename "$config" .yaml)

    local mode="finetune"
    if [ "$FREEZE_VISION" = true ]; then
        mode="frozen"
    fi

    local EXPERIMENT_NAME="${config_name}_ddp_bs${BATCH_SIZE}_ds${MAX_DATASETS}_lr${LEARNING_RATE}_wd${WEIGHT_DECAY}_corelrscale${CORE_LR_SCALE}_warmup${WARMUP_EPOCHS}_pretrained_${mode}"

    print_header "pretrained: $config_name" "$EXPERIMENT_NAME"
    echo "  from       : $checkpoint"

    if [ ! -f "$config" ]; then
        echo "no such config: $config"
        return 1
    fi

    # debug on both GPUs, no workers
    # python train_ddp_multidataset.py \
    #     --model_config "$config" \
    #     --dataset_configs_path "$DATASET_CONFIGS_PATH" \
    #     --pretrained_checkpoint "$checkpoint" \
    #     --max_datasets 2 \
    #     --batch_size 8 \
    #     --precision 32 \
    #     --num_gpus 2 \
    #     --num_workers 0 \
    #     --steps_per_epoch 10 \
    #     --project_name debug2gpu \

    local TRAINING_CMD="python train_ddp_multidataset.py \
        --model_config \"$config\" \
        --dataset_configs_path \"$DATASET_CONFIGS_PATH\" \
        --pretrained_checkpoint \"$checkpoint\" \
        --max_datasets $MAX_DATASETS \
        --batch_size $BATCH_SIZE \
        --learning_rate $LEARNING_RATE \
        --core_lr_scale $CORE_LR_SCALE \
        --lr_scheduler \"$LR_SCHEDULER\" \
        --warmup_epochs $WARMUP_EPOCHS \
        --weight_decay $WEIGHT_DECAY \
        --max_epochs $MAX_EPOCHS \
        --precision \"$PRECISION\" \
        --num_gpus $NUM_GPUS \
        --project_name \"$PROJECT_NAME\" \
        --experiment_name \"$EXPERIMENT_NAME\" \
        --checkpoint_dir \"$CHECKPOINT_DIR\" \
        --accumulate_grad_batches 1 \
        --gradient_clip_val $GRADIENT_CLIP_VAL \
        --steps_per_epoch $STEPS_PER_EPOCH \
        --num_workers $NUM_WORKERS \
        --early_stopping_patience $EARLY_STOPPING_PATIENCE \
        --early_stopping_min_delta 0.0"

    if [ "$FREEZE_VISION" = true ]; then
        TRAINING_CMD="$TRAINING_CMD --freeze_vision"
    fi
    if [ "$ENABLE_COMPILE" = true ]; then
        TRAINING_CMD="$TRAINING_CMD --compile"
    fi

    echo "$TRAINING_CMD"
    eval $TRAINING_CMD

    local exit_code=$?
    if [ $exit_code -eq 0 ]; then
        echo "done: $EXPERIMENT_NAME ($(date))"
    else
        echo "FAILED: $EXPERIMENT_NAME, exit code $exit_code ($(date))"
    fi
    return $exit_code
}

# ------------------------------------------------------------------
# stage 1: the vision model from scratch
# ------------------------------------------------------------------
run_baseline_training() {
    local config="$1"
    local config_name
    config_name=$(basename "$config" .yaml)

    local EXPERIMENT_NAME="${config_name}_ddp_bs${BATCH_SIZE}_ds${MAX_DATASETS}_lr${LEARNING_RATE}_wd${WEIGHT_DECAY}_corelrscale${CORE_LR_SCALE}_warmup${WARMUP_EPOCHS}_baseline"

    print_header "baseline: $config_name" "$EXPERIMENT_NAME"

    if [ ! -f "$config" ]; then
        echo "no such config: $config"
        return 1
    fi

    # there is one already?
    if ls "$CHECKPOINT_DIR/$EXPERIMENT_NAME"/epoch=*.ckpt >/dev/null 2>&1; then
        echo "found checkpoints in $CHECKPOINT_DIR/$EXPERIMENT_NAME"
        read -p "train the baseline again? (y/n) " -n 1 -r
        echo ""
        if [[ ! $REPLY =~ ^[Yy]$ ]]; then
            echo "using what is there"
            return 0
        fi
    fi

    local BASELINE_CMD="python train_ddp_multidataset.py \
        --model_config \"$config\" \
        --dataset_configs_path \"$DATASET_CONFIGS_PATH\" \
        --max_datasets $MAX_DATASETS \
        --batch_size $BATCH_SIZE \
        --learning_rate $LEARNING_RATE \
        --core_lr_scale $CORE_LR_SCALE \
        --lr_scheduler \"$LR_SCHEDULER\" \
        --warmup_epochs $WARMUP_EPOCHS \
        --weight_decay $WEIGHT_DECAY \
        --max_epochs $MAX_EPOCHS \
        --precision \"$PRECISION\" \
        --num_gpus $NUM_GPUS \
        --project_name \"$PROJECT_NAME\" \
        --experiment_name \"$EXPERIMENT_NAME\" \
        --checkpoint_dir \"$CHECKPOINT_DIR\" \
        --accumulate_grad_batches 1 \
        --gradient_clip_val $GRADIENT_CLIP_VAL \
        --steps_per_epoch $STEPS_PER_EPOCH \
        --num_workers $NUM_WORKERS \
        --early_stopping_patience $BASELINE_PATIENCE \
        --early_stopping_min_delta 0.0"

    if [ "$ENABLE_COMPILE" = true ]; then
        BASELINE_CMD="$BASELINE_CMD --compile"
    fi

    echo "$BASELINE_CMD"
    eval $BASELINE_CMD

    local exit_code=$?
    if [ $exit_code -eq 0 ]; then
        echo "done: $EXPERIMENT_NAME ($(date))"
    else
        echo "FAILED: $EXPERIMENT_NAME, exit code $exit_code ($(date))"
    fi
    return $exit_code
}

# ask whether to go on after a failure
go_on() {
    read -p "go on with the next model? (y/n) " -n 1 -r
    echo ""
    if [[ $REPLY =~ ^[Yy]$ ]]; then
        return 0
    fi
    echo "stopped by the user"
    return 1
}

# ------------------------------------------------------------------
# stage 1
# ------------------------------------------------------------------
total=${#MODEL_CONFIGS[@]}
ok=0
failed=()
remaining=()

echo "pretraining with $PRETRAINED_MODEL_TYPE, $total models"
echo "  project       : $PROJECT_NAME"
echo "  checkpoints   : $CHECKPOINT_DIR"
echo "  freeze vision : $FREEZE_VISION"
echo "  compile       : $ENABLE_COMPILE"
echo ""

first="${MODEL_CONFIGS[0]}"
if config_matches_pretrained_type "$first"; then
    echo "[1/$total] $first (baseline, from scratch)"
    run_baseline_training "$first"
    if [ $? -eq 0 ]; then
        ok=$((ok + 1))
    else
        failed+=("$first")
        go_on || exit 1
    fi
    remaining=("${MODEL_CONFIGS[@]:1}")
    count=1
else
    echo "$first is not $PRETRAINED_MODEL_TYPE, no baseline to train"
    remaining=("${MODEL_CONFIGS[@]}")
    count=0
fi

# ------------------------------------------------------------------
# stage 2
# ------------------------------------------------------------------
PRETRAINED_CHECKPOINT=$(find_pretrained_checkpoint "$PRETRAINED_MODEL_TYPE")
if [ -n "$PRETRAINED_CHECKPOINT" ]; then
    echo "pretrained checkpoint: $PRETRAINED_CHECKPOINT"
else
    echo "training stops here: no pretrained checkpoint"
    exit 1
fi

for config in "${remaining[@]}"; do
    count=$((count + 1))
    echo ""
    echo "[$count/$total] $config"

    run_training "$config" "$PRETRAINED_CHECKPOINT"
    if [ $? -eq 0 ]; then
        ok=$((ok + 1))
    else
        failed+=("$config")
        if [ $count -lt $total ]; then
            go_on || break
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
