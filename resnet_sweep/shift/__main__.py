"""python -m resnet_sweep.shift run=RUN_FOLDER"""

from resnet_sweep.shift.command import main

if __name__ == "__main__":
    main()
