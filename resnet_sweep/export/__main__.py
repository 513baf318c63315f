"""python -m resnet_sweep.export run=RUN_FOLDER"""

from resnet_sweep.export.command import main

if __name__ == "__main__":
    main()
