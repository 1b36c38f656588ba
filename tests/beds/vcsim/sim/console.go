package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

func init() {
	works["VirtualMachine.CreateScreenshot_Task"] = createScreenshot
	answers["VirtualMachine.PutUsbScanCodes"] = putScanCodes
	answers["VirtualMachine.AnswerVM"] = answerQuestion
	operations["ask"] = ask
}

// screen is the size of every guest's.
var screen = [2]int{32, 24}

func createScreenshot(c *call) (types.AnyType, types.BaseMethodFault) {
	vm, fault := ready(c, on, on)
	if fault != nil {
		return nil, fault
	}
	vmx, fault := located(vm.Config.Files.VmPathName)
	if fault != nil {
		return nil, fault
	}
	var picture file
	for i := 0; ; i++ {
		picture = vmx.beside(fmt.Sprintf("%s-%d.png", strings.TrimSuffix(path.Base(vmx.Path), ".vmx"), i))
		if !picture.taken() {
			break
		}
	}
	pixels := image.NewRGBA(image.Rect(0, 0, screen[0], screen[1]))
	pixels.Set(16, 12, color.White)
	var out bytes.Buffer
	if png.Encode(&out, pixels) != nil || os.WriteFile(picture.real, out.Bytes(), 0600) != nil {
		return nil, &types.FileFault{File: picture.String()}
	}
	return picture.String(), nil
}

// putScanCodes records the keys pressed.
func putScanCodes(c *call) (interface{}, types.BaseMethodFault) {
	vm, fault := ready(c, on, on)
	if fault != nil {
		return nil, fault
	}
	behind := c.sim.behind(vm)
	events := c.body.(*types.PutUsbScanCodes).Spec.KeyEvents
	for _, event := range events {
		press := keyPress{Code: event.UsbHidCode, Modifiers: []string{}}
		if event.Modifiers != nil {
			held := reflect.ValueOf(*event.Modifiers)
			for i := 0; i < held.NumField(); i++ {
				if pressed, ok := held.Field(i).Interface().(*bool); ok && isTrue(pressed) {
					name := held.Type().Field(i).Name
					press.Modifiers = append(press.Modifiers, strings.ToLower(name[:1])+name[1:])
				}
			}
		}
		behind.keys = append(behind.keys, press)
	}
	return &types.PutUsbScanCodesResponse{Returnval: int32(len(events))}, nil
}

// answerQuestion takes a choice that the question offers.
func answerQuestion(c *call) (interface{}, types.BaseMethodFault) {
	vm := machine(c.this)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	body := c.body.(*types.AnswerVM)
	question := vm.Runtime.Question
	if question == nil || question.Id != body.QuestionId {
		return nil, &types.InvalidArgument{InvalidProperty: "questionId"}
	}
	for _, choice := range question.Choice.ChoiceInfo {
		if choice.GetElementDescription().Key == body.AnswerChoice {
			vm.Runtime.Question, vm.Summary.Runtime.Question = nil, nil
			c.sim.behind(vm).answer = body.AnswerChoice
			return &types.AnswerVMResponse{}, nil
		}
	}
	return nil, &types.InvalidArgument{InvalidProperty: "answerChoice"}
}
