#!/bin/bash
# conda environment for training and analysis
set -e

ENV_NAME=${1:-yatesfv}

source ~/miniconda3/etc/profile.d/conda.sh
conda create -y -n "$ENV_NAME" python=3.12
conda activate "$ENV_NAME"

pip install torch torchvision
pip install lightning pytorch-lightning wandb
pip install numpy scipy matplotlib pyyaml tqdm ipykernel

# private, ask for access
# pip install -e ../DataYatesV1

echo "done, now: conda activate $ENV_NAME"
echo "check with: python training/train_ddp_multidataset.py --help"
