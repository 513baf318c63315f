#!/bin/sh
# Bring up a Slurm of this one node from Debian's packages, as root, and sweep on it:
#   apt-get install slurm-wlm munge && pip install 'resnet_sweep[slurm]'
#   sh benchmarks/one_node_slurm.sh          # brings it up and sweeps
#   sh benchmarks/one_node_slurm.sh true     # brings it up alone
set -eu

host=$(hostname -s)
for command in munged slurmctld slurmd; do
    command -v "$command" > /dev/null || { echo "$command is missing: apt-get install slurm-wlm munge" >&2; exit 1; }
done

written_here="# Written by one_node_slurm.sh"
conf=/etc/slurm/slurm.conf
logs=/var/log/slurm
if [ -e "$conf" ] && ! grep -qx "$written_here" "$conf"; then
    echo "$conf is there and was not written by this script: it stays as it is" >&2
    exit 1
fi

mkdir -p /etc/slurm "$logs" /run/munge /var/spool/slurmctld /var/spool/slurmd
node=$(slurmd -C | head -n 1)  # as slurmd itself sees it: a node that has less is drained
cores=$(echo "$node" | sed 's/.* CPUs=\([0-9]*\).*/\1/')
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
SlurmctldLogFile=$logs/slurmctld.log
SlurmdLogFile=$logs/slurmd.log
SlurmdParameters=config_overrides
ReturnToService=2
$node State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF

is_running() { pgrep -x "$1" > /dev/null; }

[ -f /etc/munge/munge.key ] || dd if=/dev/urandom bs=1 count=1024 of=/etc/munge/munge.key 2> /dev/null
chown -R munge:munge /etc/munge /run/munge /var/lib/munge /var/log/munge
chmod 400 /etc/munge/munge.key

# -c: jobs that an earlier one left behind would keep the cores.
seconds=60
until sinfo -h -t idle,mixed,allocated 2> /dev/null | grep -q .; do
    is_running munged || runuser -u munge -- munged
    is_running slurmctld || slurmctld -c
    is_running slurmd || slurmd -c
    seconds=$((seconds - 1))
    if [ "$seconds" -eq 0 ]; then
        scontrol show node >&2
        tail -n 5 "$logs"/*.log >&2
        echo "the node did not come up" >&2
        exit 1
    fi
    sleep 1
done
sinfo

[ $# -eq 0 ] || exec "$@"
python -m resnet_sweep.train -m hydra/sweeper=optuna hydra/launcher=slurm \
    data=digits train.epochs=2 hydra.sweeper.n_trials=6 hydra.sweeper.n_jobs="$cores" \
    'model.widths=[8,16]' 'model.blocks=[1,1]'
