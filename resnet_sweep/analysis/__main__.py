from resnet_sweep.analysis.command import main

main()
