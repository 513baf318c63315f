#!/bin/sh
# Bring up a Slurm of this one node from Debian's packages, as root, and sweep on it:
#   apt-get install slurm-wlm munge && pip install 'resnet_sweep[slurm]'
#   sh benchmarks/one_node_slurm.sh          # brings it up and sweeps
#   sh benchmarks/one_node_slurm.sh true     # brings it up alone
set -eu

host=$(hostname -s)
cores=$(getconf _NPROCESSORS_ONLN)  # nproc would count OMP_NUM_THREADS
memory=$(awk '/MemTotal/ { print int($2 / 1024) - 512 }' /proc/meminfo)
for command in munged slurmctld slurmd; do
    command -v "$command" > /dev/null || { echo "$command is missing: apt-get install slurm-wlm munge" >&2; exit 1; }
done

written_here="# Written by one_node_slurm.sh"
conf=/etc/slurm/slurm.conf
if [ -e "$conf" ] && ! grep -qx "$written_here" "$conf"; then
    echo "$conf is there and was not written by this script: it stays as it is" >&2
    exit 1
fi

mkdir -p /etc/slurm /run/munge /var/spool/slurmctld /var/spool/slurmd
cat > "$conf" << CONF
$written_here
ClusterName=one
SlurmctldHost=$host
SlurmUser=root
AuthType=auth/munge
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ReturnToService=2
NodeName=$host CPUs=$cores RealMemory=$memory State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF

[ -f /etc/munge/munge.key ] || dd if=/dev/urandom bs=1 count=1024 of=/etc/munge/munge.key 2> /dev/null
chown -R munge:munge /etc/munge /run/munge /var/lib/munge /var/log/munge
chmod 400 /etc/munge/munge.key
pgrep -x munged > /dev/null || runuser -u munge -- munged
pgrep -x slurmctld > /dev/null || slurmctld
pgrep -x slurmd > /dev/null || slurmd
sinfo

[ $# -eq 0 ] || exec "$@"
python -m resnet_sweep.train -m hydra/sweeper=optuna hydra/launcher=slurm \
    data=digits train.epochs=2 hydra.sweeper.n_trials=6 hydra.sweeper.n_jobs="$cores" \
    'model.widths=[8,16]' 'model.blocks=[1,1]'
